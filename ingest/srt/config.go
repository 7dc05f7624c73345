// Package srt reads MPEG transport streams over SRT, as caller or as listener,
// through FFmpeg's libsrt.
package srt

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"
)

// Config says where the stream comes from.
type Config struct {
	// URL is srt://HOST:PORT, with ?mode=caller (default) or listener, where the
	// host may be left out, streamid=, latency= in milliseconds, pbkeylen= (16, 24
	// or 32) and passphrase=.
	URL        string `yaml:"url"`
	Passphrase string `yaml:"passphrase"` // takes the place of the URL's

	// ReadTimeout is how long the sender may stay silent, while connecting and
	// later, before Run gives up. A listener waits for its sender without end.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// KeyframeTimeout is how long pictures may come without one that decoding can
	// start with.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults is a configuration that lacks only the URL.
func Defaults() Config {
	return Config{ReadTimeout: 10 * time.Second, KeyframeTimeout: 30 * time.Second}
}

// Validate reports every mistake. Its texts never hold a passphrase.
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
	return errors.Join(errs...)
}

// target is what a Config's address says.
type target struct {
	host, port string
	listen     bool
	passphrase string
	streamID   string
	latency    time.Duration // 0: libsrt's own
	keyLength  string
}

// Bounds of libsrt.
const (
	minPassphrase = 10
	maxPassphrase = 79
	maxStreamID   = 512
	maxLatency    = time.Minute
)

func (c Config) target() (target, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		// url.Parse quotes what it cannot read, which may be the passphrase.
		return target{}, errors.New("url: cannot be read as a URL; special characters are written %XX")
	}
	t := target{host: u.Hostname(), port: u.Port(), passphrase: c.Passphrase}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, errors.New("url: what follows ? cannot be read; special characters are written %XX")
	}
	for name, values := range query {
		if err := t.set(name, values[len(values)-1]); err != nil {
			return target{}, fmt.Errorf("url: %w", err)
		}
	}
	switch {
	case u.Scheme != "srt":
		return target{}, errors.New("url: does not begin with srt://")
	case t.host == "" && !t.listen:
		return target{}, errors.New("url: names no host; only ?mode=listener needs none")
	case t.port == "":
		return target{}, errors.New("url: names no port")
	case t.passphrase != "" && (len(t.passphrase) < minPassphrase || len(t.passphrase) > maxPassphrase):
		return target{}, fmt.Errorf("passphrase: has %d bytes, SRT wants %d to %d", len(t.passphrase), minPassphrase, maxPassphrase)
	}
	return t, nil
}

// set takes one parameter of the URL.
func (t *target) set(name, value string) error {
	switch name {
	case "mode":
		t.listen = value == "listener"
		if !t.listen && value != "caller" {
			return fmt.Errorf("mode=%q is not one of caller, listener", value)
		}
	case "streamid":
		if t.streamID = value; len(value) > maxStreamID {
			return fmt.Errorf("streamid= has %d bytes, SRT takes %d", len(value), maxStreamID)
		}
	case "passphrase":
		if t.passphrase == "" {
			t.passphrase = value
		}
	case "latency":
		ms, err := strconv.ParseUint(value, 10, 32)
		if t.latency = time.Duration(ms) * time.Millisecond; err != nil || t.latency > maxLatency {
			return fmt.Errorf("latency=%q is not a number of milliseconds up to %d", value, maxLatency.Milliseconds())
		}
	case "pbkeylen":
		if t.keyLength = value; value != "16" && value != "24" && value != "32" {
			return fmt.Errorf("pbkeylen=%q is not one of 16, 24, 32", value)
		}
	default:
		return fmt.Errorf("%q is not one of mode, streamid, passphrase, latency, pbkeylen", name)
	}
	return nil
}

// String is the address without secrets: a stream id may be one.
func (t target) String() string {
	text := "srt://" + net.JoinHostPort(t.host, t.port)
	if t.listen {
		text += "?mode=listener"
	}
	return text
}
