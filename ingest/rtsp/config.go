// Package rtsp reads IP cameras: RTSP over TCP, UDP or multicast, in the clear or
// over TLS, with Basic or Digest authentication, H.264, H.265, VP8, VP9, AV1 and
// Motion JPEG.
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
// firewalls, then UDP where the camera refuses TCP, then multicast where it
// refuses that.
const (
	Auto      Transport = "auto"
	TCP       Transport = "tcp"
	UDP       Transport = "udp"
	Multicast Transport = "multicast"
)

// tries are the transports to ask for, in turn.
func (t Transport) tries() []Transport {
	if t == Auto {
		return []Transport{TCP, UDP, Multicast}
	}
	return []Transport{t}
}

// Config says which camera to read, and how.
type Config struct {
	URL       string    `yaml:"url"` // rtsp:// or rtsps://, may hold user and password
	Transport Transport `yaml:"transport"`
	Username  string    `yaml:"username"` // takes the place of the URL's user and password
	Password  string    `yaml:"password"`
	TLS       TLS       `yaml:"tls"` // of rtsps://

	// Timeout is how long it may take until the camera has agreed to play, from
	// looking up its name on, and later how long it may stay silent.
	Timeout time.Duration `yaml:"timeout"`
	// KeyframeTimeout is how long pictures may come without one that decoding
	// can start with, and, where it is more than Timeout, how long packets may come
	// that make no picture. Some cameras send a keyframe every 10 s or 20 s only.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults is a configuration that lacks only the URL.
func Defaults() Config {
	return Config{Transport: Auto, Timeout: 10 * time.Second, KeyframeTimeout: 30 * time.Second}
}

// Validate reports every mistake. It opens nothing. Its texts never hold a
// password.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.target(); err != nil {
		errs = append(errs, err)
	}
	switch c.Transport {
	case Auto, TCP, UDP, Multicast:
	default:
		errs = append(errs, fmt.Errorf("transport: %q is not one of auto, tcp, udp, multicast", c.Transport))
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
	if c.TLS.Insecure && c.TLS.CA != "" {
		errs = append(errs, errors.New("tls: insecure takes any certificate, so ca would not be looked at"))
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
