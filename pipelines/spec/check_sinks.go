package spec

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sightline/detect"
)

func (c *checker) sinks() {
	names, taken := map[string]bool{}, newClaims()
	for i := range c.p.Sinks {
		s := &c.p.Sinks[i]
		if s.Name == "" {
			s.Name = s.Kind
		}
		path := itemPath("sinks", s.Name, i)
		if s.Name != "" && names[s.Name] {
			c.report.add(c.itemAt("sinks", i), path, "a second sink of this name (the name defaults to the kind); give it one of its own")
			continue
		}
		names[s.Name] = true
		c.types(s, path)
		if s.Kafka != nil {
			c.kafka(s.Kafka, path)
			c.format(s, s.Kafka.Format, s.Kafka.Topic, s.Kafka.Registry, path)
		}
		if s.MQTT != nil {
			c.mqtt(s, path)
		}
		if s.Webhook != nil {
			c.webhook(s, path)
		}
		if s.JSONL != nil && s.JSONL.Path != "" {
			taken.file(c, s.JSONL.Path, s.Name, path+".path")
			c.jsonl(s, path)
		}
		c.spool(s, i, path, taken)
	}
}

// types takes event types as events carry them, too, and keeps the bare names.
func (c *checker) types(s *Sink, path string) {
	for i, name := range s.Types {
		s.Types[i] = strings.TrimPrefix(name, "sightline.")
		if name = s.Types[i]; !slices.Contains(eventTypes(), name) {
			at := itemPath(path+".types", "", i)
			c.report.suggest(c.where(at), at, nearest(name, eventTypes()), "there is no event type %q", name)
		}
	}
}

// eventTypes lists the types of event a sink can ask for.
func eventTypes() []string {
	return []string{
		string(detect.Detections), string(detect.ObjectStarted), string(detect.ObjectUpdated), string(detect.ObjectEnded),
		string(detect.LineCrossed), string(detect.ZoneEntered), string(detect.ZoneExited), string(detect.ZoneDwell),
		string(detect.ZoneOccupancy), string(detect.CountReported), string(detect.StreamOnline), string(detect.StreamOffline),
		string(detect.StreamDegraded), string(detect.SinkDegraded), string(detect.Accounting),
	}
}

// hostPort splits HOST:PORT; the host may be empty.
func hostPort(s string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return host, err == nil
}

// loopback tells whether only this machine can reach a host. An empty host is
// every address.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
