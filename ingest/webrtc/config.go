// Package webrtc receives streams over WebRTC: those that browsers and encoders
// publish to us by WHIP (RFC 9725), and those that we pull from other servers by
// WHEP (draft-ietf-wish-whep).
package webrtc

import (
	"errors"
	"fmt"
	"time"
)

// Config says who may publish, and over which ports.
type Config struct {
	// Token is what publishers must show as bearer token; empty lets anybody in
	// who reaches the HTTP port.
	Token string `yaml:"token"`
	// Ports are where media is received; nil is the loopback address alone. The
	// caller closes them after the last Run.
	Ports *Ports `yaml:"-"`
	// Timeout is how long a publisher may stay silent, and how long it may take
	// to connect.
	Timeout time.Duration `yaml:"timeout"`
	// KeyframeTimeout is how long media may come without a keyframe, which is
	// asked for all the while.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// Defaults receives on the loopback address only, without a token.
func Defaults() Config {
	return Config{Timeout: 10 * time.Second, KeyframeTimeout: 10 * time.Second}
}

// Validate reports every mistake.
func (c Config) Validate() error {
	return errors.Join(checkTimeouts(c.Timeout, c.KeyframeTimeout)...)
}

func checkTimeouts(timeout, keyframe time.Duration) (errs []error) {
	if timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is not positive", timeout))
	}
	if keyframe <= 0 {
		errs = append(errs, fmt.Errorf("keyframe_timeout: %v is not positive", keyframe))
	}
	return errs
}
