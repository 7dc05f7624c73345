// Package rtsp reads IP cameras: RTSP over TCP, UDP or multicast, in the clear or
// over TLS, with Basic or Digest authentication, H.264, H.265, VP8, VP9, AV1 and
// Motion JPEG.
package rtsp

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"sightline/ingest"
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
	URL       string     `yaml:"url"` // rtsp:// or rtsps://, may hold user and password
	Transport Transport  `yaml:"transport"`
	Username  string     `yaml:"username"` // takes the place of the URL's user and password
	Password  string     `yaml:"password"`
	TLS       ingest.TLS `yaml:"tls"` // of rtsps://

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
	return ingest.ParseURL(c.URL, c.Username, c.Password, "rtsp", "rtsps")
}
