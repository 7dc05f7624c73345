// Package mqtt delivers events to an MQTT broker, version 3.1.1 or 5, with QoS 1: an
// event is delivered once the broker has acknowledged it. The protocol's packets are
// Eclipse Paho's; what is in flight, sent again or given up is decided here and by
// the caller alone, so a session on the broker is not needed: each connection starts
// a clean one.
package mqtt

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sightline/sink"
	"sightline/sink/format"
)

// Modes: how an event is laid out in a message.
const (
	Structured = "structured" // the whole CloudEvent as JSON; MQTT 5: its attributes in user properties besides
	Binary     = "binary"     // data alone, the attributes in user properties; MQTT 5 only
)

// Versions of the protocol.
const (
	V3 = 3 // 3.1.1; its acknowledgments cannot say no: a broker that denies a topic either closes the connection or pretends
	V5 = 5
)

// Config says where events go and how.
type Config struct {
	URL       string        // mqtt://host:1883 or mqtts://host:8883; the ports are the defaults
	Topic     string        // a sink.Template; characters of values that mean something in topics become _
	Version   int           // V3, V5
	Mode      string        // Structured, Binary
	Format    format.Format // of the payload; nil: CloudEvents in the mode
	Retain    bool          // the broker keeps the last event of each topic for who subscribes later
	ClientID  string        // empty: sightline- and a random end
	Username  string        // empty: none
	Password  func() string // asked at each connection; nil: none
	TLS       *sink.TLS     // for mqtts; nil: the system's authorities
	InFlight  int           // most events that wait for their acknowledgment at once
	MaxPacket int           // most bytes of a message with its headers; 0: what the broker says, if it does
	Timeout   time.Duration // longest wait for any answer
	KeepAlive time.Duration // longest silence before the connection is tested
}

// Defaults returns a configuration that lacks only the URL.
func Defaults() Config {
	return Config{
		Topic: "sightline/{site}/{stream}/{type}", Version: V5, Mode: Structured,
		InFlight: 100, Timeout: 10 * time.Second, KeepAlive: time.Minute,
	}
}

const maxTopic = 65535 // bytes, by the protocol

// Validate reports every mistake at once, each beginning with the key it is about.
// It opens nothing.
func (c Config) Validate() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if _, err := c.address(); err != nil {
		errs = append(errs, fmt.Errorf("url: %w", err))
	} else {
		fault(c.TLS != nil && !c.encrypted(), "tls: the url is not mqtts://")
	}
	if err := checkTopic(c.Topic); err != nil {
		errs = append(errs, fmt.Errorf("topic: %w", err))
	}
	fault(c.Version != V3 && c.Version != V5, "version: %d is neither 3 (3.1.1) nor 5", c.Version)
	fault(c.Mode != Structured && c.Mode != Binary, "mode: %q is neither structured nor binary", c.Mode)
	fault(c.Mode == Binary && c.Version == V3, "mode: binary wants version 5: 3.1.1 has nowhere to put the attributes")
	fault(c.Mode == Binary && c.Format != nil, "mode: binary is CloudEvents' own: leave out format")
	fault(c.Username == "" && c.Password != nil, "password: wants a username")
	fault(len(c.ClientID) > 256, "client_id: longer than 256 bytes")
	fault(c.InFlight < 1 || c.InFlight > 10000, "in_flight: %d is not in 1 to 10000", c.InFlight)
	fault(c.MaxPacket != 0 && c.MaxPacket < 1024, "max_packet: less than 1KiB")
	fault(c.Timeout <= 0, "timeout: %v is not positive", c.Timeout)
	fault(c.KeepAlive < 5*time.Second || c.KeepAlive > 12*time.Hour, "keep_alive: %v is not in 5s to 12h", c.KeepAlive)
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// address is host:port. Errors do not repeat the URL: it may have a password in it.
func (c Config) address() (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.Hostname() == "" {
		return "", errors.New("want mqtt://HOST:1883 or mqtts://HOST:8883")
	}
	if u.User != nil {
		return "", errors.New("put the login into username and password")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("nothing follows the port: the topic goes into topic")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"mqtt": "1883", "mqtts": "8883"}[u.Scheme]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("the port is not in 1 to 65535")
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func (c Config) encrypted() bool { return strings.HasPrefix(c.URL, "mqtts:") }

// checkTopic refuses what no broker takes as the topic of a message.
func checkTopic(text string) error {
	if text == "" {
		return errors.New("missing")
	}
	t, err := sink.ParseTemplate(text)
	if err != nil {
		return err
	}
	switch {
	case strings.ContainsAny(text, "+#"):
		return errors.New("+ and # are for subscribers")
	case strings.ContainsFunc(text, control):
		return errors.New("has a control character")
	case strings.HasPrefix(text, "$"):
		return errors.New("topics that begin with $ are the broker's own")
	case len(text) > maxTopic/2:
		return errors.New("too long")
	}
	if literal, ok := t.Literal(); ok && strings.TrimSpace(literal) == "" {
		return errors.New("is blank")
	}
	return nil
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// cleanLevel makes a value one level of a topic.
func cleanLevel(value string) string {
	return strings.Map(func(r rune) rune {
		if r == '+' || r == '#' || r == '/' || r == '$' || r == '\ufffd' || control(r) {
			return '_'
		}
		return r
	}, value)
}
