// Package rtmp pulls streams from RTMP servers, plain or over TLS: H.264, and by
// Enhanced RTMP H.265, AV1 and VP9.
package rtmp

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"sightline/ingest"
)

// Config says which stream to play.
type Config struct {
	// URL is rtmp:// or rtmps://HOST/APP/STREAM, and may hold user and password.
	// With more than two names in the path, the last is the stream's.
	URL      string     `yaml:"url"`
	Username string     `yaml:"username"` // takes the place of the URL's user and password
	Password string     `yaml:"password"`
	TLS      ingest.TLS `yaml:"tls"`

	// ReadTimeout is how long the server may stay silent, and how long no picture
	// may come, while connecting and later.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// KeyframeTimeout is how long pictures may come without one that decoding can
	// start with.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults is a configuration that lacks only the URL.
func Defaults() Config {
	return Config{ReadTimeout: 10 * time.Second, KeyframeTimeout: 30 * time.Second}
}

// Validate reports every mistake. Its texts never hold a password.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.target(); err != nil {
		errs = append(errs, err)
	}
	if c.ReadTimeout <= 0 {
		errs = append(errs, fmt.Errorf("read_timeout: %v is not positive", c.ReadTimeout))
	}
	if c.KeyframeTimeout <= 0 {
		errs = append(errs, fmt.Errorf("keyframe_timeout: %v is not positive", c.KeyframeTimeout))
	}
	if c.Password != "" && c.Username == "" {
		errs = append(errs, errors.New("password: there is no username"))
	}
	return errors.Join(errs...)
}

// target is what a Config's address says.
type target struct {
	url                url.URL // without credentials and query
	address            string
	app, stream        string // stream with the query
	username, password string
}

func (c Config) target() (target, error) {
	u, err := ingest.ParseURL(c.URL, c.Username, c.Password, "rtmp", "rtmps")
	if err != nil {
		return target{}, err
	}
	t := target{url: url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}}
	if u.User != nil {
		t.username = u.User.Username()
		t.password, _ = u.User.Password()
	}
	path := strings.Trim(u.Path, "/")
	end := strings.LastIndex(path, "/")
	switch {
	case end < 0:
		return target{}, errors.New("url: wants rtmp://HOST/APP/STREAM")
	case len(path)+len(u.RawQuery) > maxPath:
		return target{}, errors.New("url: is too long")
	}
	t.app, t.stream = path[:end], path[end+1:]
	if u.RawQuery != "" {
		t.stream += "?" + u.RawQuery
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "rtmps":
		port = "443"
	default:
		port = "1935"
	}
	t.address = net.JoinHostPort(u.Hostname(), port)
	return t, nil
}

const maxPath = 4096

// String is the address without secrets.
func (t target) String() string { return ingest.Redacted(&t.url) }
