// Package webrtc receives streams over WebRTC: those that browsers and encoders
// publish to us by WHIP (RFC 9725), and those that we pull from other servers by
// WHEP (draft-ietf-wish-whep).
package webrtc

import (
	"errors"
	"fmt"
	"strings"
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
	// ICEServers are named to publishers, who may need them to get through to us.
	ICEServers []ICEServer `yaml:"ice_servers"`
	// Timeout is how long a publisher may stay silent, and how long it may take
	// to connect.
	Timeout time.Duration `yaml:"timeout"`
	// KeyframeTimeout is how long media may come without a keyframe, which is
	// asked for all the while.
	KeyframeTimeout time.Duration `yaml:"keyframe_timeout"`
}

// ICEServer is a STUN or TURN server (RFC 7064, RFC 7065).
type ICEServer struct {
	URL        string `yaml:"url"`
	Username   string `yaml:"username"`
	Credential string `yaml:"credential"`
}

// Defaults receives on the loopback address only, without a token.
func Defaults() Config {
	return Config{Timeout: 10 * time.Second, KeyframeTimeout: 10 * time.Second}
}

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	for _, s := range c.ICEServers {
		scheme, host, _ := strings.Cut(s.URL, ":")
		if scheme != "stun" && scheme != "stuns" && scheme != "turn" && scheme != "turns" || host == "" || strings.ContainsAny(s.URL, "<>\" \r\n") {
			errs = append(errs, fmt.Errorf("ice_servers: %q is not like stun:HOST or turn:HOST", s.URL))
		}
		if strings.ContainsAny(s.Username+s.Credential, "\"\\\r\n") {
			errs = append(errs, errors.New("ice_servers: a username or credential has quotes or lines"))
		}
	}
	return errors.Join(append(errs, checkTimeouts(c.Timeout, c.KeyframeTimeout)...)...)
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

// link is the server as a Link header names it (RFC 9725, 4.6).
func (s ICEServer) link() string {
	text := fmt.Sprintf(`<%s>; rel="ice-server"`, s.URL)
	if s.Username != "" {
		text += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, s.Username, s.Credential)
	}
	return text
}
