// Package hls reads HTTP Live Streaming (RFC 8216): live streams from their edge
// on, recordings from their beginning, in MPEG transport streams or fragmented
// MP4, also encrypted with AES-128.
package hls

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"sightline/ingest"
)

// Config says which stream to read, and how.
type Config struct {
	URL      string     `yaml:"url"`      // of a playlist: http://, https://, hls+http:// or hls+https://, may hold user and password
	Username string     `yaml:"username"` // takes the place of the URL's user and password
	Password string     `yaml:"password"`
	TLS      ingest.TLS `yaml:"tls"`

	// Timeout is how long each answer may take, and how long a live playlist may
	// stay without a new segment; the latter is at least three segments long.
	Timeout time.Duration `yaml:"timeout"`
	// KeyframeTimeout is how long pictures may come without one that decoding can
	// start with.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults is a configuration that lacks only the URL.
func Defaults() Config { return Config{Timeout: 10 * time.Second, KeyframeTimeout: 30 * time.Second} }

// Validate reports every mistake. Its texts never hold a password.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.target(); err != nil {
		errs = append(errs, err)
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is not positive", c.Timeout))
	}
	if c.KeyframeTimeout <= 0 {
		errs = append(errs, fmt.Errorf("keyframe_timeout: %v is not positive", c.KeyframeTimeout))
	}
	if c.Password != "" && c.Username == "" {
		errs = append(errs, errors.New("password: there is no username"))
	}
	return errors.Join(errs...)
}

// target is the playlist's URL with the credentials to use.
func (c Config) target() (*url.URL, error) {
	u, err := ingest.ParseURL(c.URL, c.Username, c.Password, "http", "https", "hls+http", "hls+https")
	if err == nil {
		u.Scheme = strings.TrimPrefix(u.Scheme, "hls+")
	}
	return u, err
}
