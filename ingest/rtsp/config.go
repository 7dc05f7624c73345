// Package rtsp reads IP cameras: RTSP over TCP or UDP with Basic or Digest
// authentication, H.264, H.265, VP8, VP9, AV1 and Motion JPEG.
package rtsp

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Transport is how RTP packets travel.
type Transport string

// Transports. Auto is TCP, which loses nothing on busy networks and passes
// firewalls, and UDP where the camera refuses TCP.
const (
	Auto Transport = "auto"
	TCP  Transport = "tcp"
	UDP  Transport = "udp"
)

// Config says which camera to read, and how.
type Config struct {
	URL       string    `yaml:"url"` // rtsp:// or rtsps://, may hold user and password
	Transport Transport `yaml:"transport"`
	Username  string    `yaml:"username"` // takes the place of the URL's user and password
	Password  string    `yaml:"password"`

	// ReadTimeout is how long the camera may stay silent, while connecting and
	// later, before Run gives up.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// KeyframeTimeout is how long pictures may come without one that decoding
	// can start with. Some cameras send a keyframe every 10 s or 20 s only.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults is a configuration that lacks only the URL.
func Defaults() Config {
	return Config{Transport: Auto, ReadTimeout: 10 * time.Second, KeyframeTimeout: 30 * time.Second}
}

// Validate reports every mistake. Its texts never hold a password.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.target(); err != nil {
		errs = append(errs, err)
	}
	switch c.Transport {
	case Auto, TCP, UDP:
	default:
		errs = append(errs, fmt.Errorf("transport: %q is not one of auto, tcp, udp", c.Transport))
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

// target is the URL with the credentials to use.
func (c Config) target() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		// url.Parse quotes what it cannot read, which may be the password.
		return nil, errors.New("url: cannot be read as a URL; special characters in a password " +
			"are written %XX, or the password goes under its own key")
	}
	switch {
	case u.Scheme != "rtsp" && u.Scheme != "rtsps":
		return nil, errors.New("url: does not begin with rtsp:// or rtsps://")
	case u.Hostname() == "":
		return nil, errors.New("url: names no host")
	}
	if c.Username != "" {
		u.User = url.UserPassword(c.Username, c.Password)
	}
	return u, nil
}

// redacted is a URL fit for logs and errors.
func redacted(u *url.URL) string {
	clean := *u
	clean.RawQuery, clean.Fragment = "", "" // some cameras take passwords there
	user := u.User
	clean.User = nil
	if user == nil {
		return clean.String()
	}
	mask := user.Username()
	if _, has := user.Password(); has {
		mask += ":***"
	}
	return clean.Scheme + "://" + mask + "@" + clean.Host + clean.Path
}
