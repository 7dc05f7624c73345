package webrtc

import (
	"errors"
	"fmt"
	"strings"
)

// ICEServer is a STUN or TURN server (RFC 7064, RFC 7065).
type ICEServer struct {
	URL      string `yaml:"url"`
	Username string `yaml:"username"`
	Password string `yaml:"password"`
}

// check says what is wrong with it, without its password.
func (s ICEServer) check() error {
	scheme, host, _ := strings.Cut(s.URL, ":")
	switch scheme {
	case "stun", "stuns", "turn", "turns":
	default:
		host = ""
	}
	if host == "" || strings.ContainsAny(s.URL, "<>\" \r\n") {
		return fmt.Errorf("ice_servers: %q is not like stun:HOST or turn:HOST", s.URL)
	}
	if strings.ContainsAny(s.Username+s.Password, "\"\\\r\n") {
		return errors.New("ice_servers: a username or password has quotes or lines")
	}
	return nil
}

// link is the server as a Link header names it (RFC 9725, 4.6).
func (s ICEServer) link() string {
	text := fmt.Sprintf(`<%s>; rel="ice-server"`, s.URL)
	if s.Username != "" {
		text += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, s.Username, s.Password)
	}
	return text
}
