package spec

import (
	"errors"
	"strings"
	"time"

	"sightline/sink"
	"sightline/sink/format"
	"sightline/sink/mqtt"
)

// MQTT is what an mqtt sink adds.
type MQTT struct {
	// URL of the broker: mqtt://host:1883, or mqtts://host:8883 with TLS.
	URL string `yaml:"url" jsonschema:"required"`
	// Topic of the messages: a template over {site} {stream} {type} {zone} {line} {rule} {class} {track} {severity}. What a value has of + # / and $ becomes _.
	Topic string `yaml:"topic" jsonschema:"default=sightline/{site}/{stream}/{type}"`
	// Version of the protocol, 5 or 3 for 3.1.1. With 3 a broker cannot say that it refuses an event: one that denies a topic pretends to have taken it.
	Version int `yaml:"version" jsonschema:"minimum=3,maximum=5,default=5"`
	// QoS of the messages: 1, at which the broker acknowledges each; nothing else keeps what is promised.
	QoS int `yaml:"qos" jsonschema:"minimum=0,maximum=2,default=1"`
	// Mode of CloudEvents: the whole event as JSON (version 5: its attributes as user properties besides), or its data with the attributes in user properties alone.
	Mode string `yaml:"mode" jsonschema:"enum=structured,enum=binary,default=structured"`
	// Format of the messages: CloudEvents, or the shape of another system.
	Format string `yaml:"format" jsonschema:"enum=cloudevents,enum=deepstream,enum=dlstreamer,enum=frigate,default=cloudevents"`
	// Retain makes the broker keep the last event of each topic for who subscribes later.
	Retain bool `yaml:"retain"`
	// ClientID of the connection, of this process alone; sightline- and a random end when absent.
	ClientID string `yaml:"client_id"`
	// Username to log in with.
	Username string `yaml:"username"`
	// Password to log in with; a ${file:…} is read again at each connection.
	Password Secret `yaml:"password"`
	// TLS of an mqtts:// address; when absent, the system's authorities are trusted. The files are read again at each connection.
	TLS *TLS `yaml:"tls"`
	// InFlight is how many events may wait for their acknowledgment at once; 1 keeps the order even where a broker puts one off and takes the next.
	InFlight int `yaml:"in_flight" jsonschema:"minimum=1,maximum=10000,default=100"`
	// MaxPacket is the largest message with its headers: a larger event goes to the dead letters. What a broker of version 5 says is obeyed as well.
	MaxPacket Size `yaml:"max_packet" jsonschema:"default=256MiB"`
	// Timeout of connecting, and of waiting for any answer.
	Timeout time.Duration `yaml:"timeout" jsonschema:"default=10s"`
	// KeepAlive is how long a connection may be silent before it is tested.
	KeepAlive time.Duration `yaml:"keep_alive" jsonschema:"default=1m"`
}

// Config is the sink's own configuration.
func (m *MQTT) Config() (mqtt.Config, error) {
	c := mqtt.Config{
		URL: m.URL, Topic: m.Topic, Version: m.Version, Mode: m.Mode, Retain: m.Retain, ClientID: m.ClientID, Username: m.Username,
		TLS: m.TLS.sink(), InFlight: m.InFlight, MaxPacket: int(m.MaxPacket), Timeout: m.Timeout, KeepAlive: m.KeepAlive,
	}
	if !m.Password.IsZero() {
		c.Password = m.Password.Current
	}
	var err error
	c.Format, err = payload(m.Format)
	return c, err
}

// sink is the same for sinks other than kafka.
func (t *TLS) sink() *sink.TLS {
	if t == nil {
		return nil
	}
	return &sink.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
}

// payload is the format of that name, nil for CloudEvents.
func payload(name string) (format.Format, error) {
	if name == "" || name == format.CloudEvents {
		return nil, nil
	}
	return format.New(format.Config{Kind: name})
}

func (c *checker) mqtt(s *Sink, path string) {
	m := s.MQTT
	c.format(s, m.Format, "", nil, path)
	if m.QoS != 1 && !c.failed(path+".qos") {
		c.bad(path+".qos", "want 1: at 0 nothing is acknowledged and events would be lost, and 2 adds nothing: a repeat has the same id")
	}
	if cfg, err := m.Config(); err == nil && !c.failed(path) {
		c.faults(path, cfg.Validate())
	}
}

// faults reports what a kind of sink finds wrong with its configuration: errors that
// begin with their key.
func (c *checker) faults(path string, err error) {
	var all interface{ Unwrap() []error }
	if err == nil || !errors.As(err, &all) {
		return
	}
	for _, err := range all.Unwrap() {
		key, what, _ := strings.Cut(err.Error(), ": ")
		c.bad(join(path, key), "%s", what)
	}
}
