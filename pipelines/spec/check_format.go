package spec

import (
	"net/url"
	"slices"
	"strings"

	"sightline/detect"
)

// format checks how a sink lays events out. Only what knows of topics can speak to
// a registry: topic is "" for the others.
func (c *checker) format(s *Sink, name, topic string, reg *Registry, path string) {
	inRegistry := name == "avro" || name == "protobuf"
	switch {
	case inRegistry && s.Kind != "kafka":
		c.bad(path+".format", "%s is for kafka sinks: it needs a schema registry beside the topic", name)
		return
	case inRegistry && reg == nil:
		c.bad(path+".format", "%s needs a registry: { url: … }", name)
	case !inRegistry && reg != nil:
		c.bad(path+".registry", "only avro and protobuf are registered, the format is %s", name)
	case reg != nil:
		c.registry(reg, path+".registry")
	}
	if name == "avro" && reg != nil && reg.Subject == "topic_name" && len(s.Types) != 1 && !strings.Contains(topic, "{type}") {
		c.bad(path+".registry.subject", "types of event have schemas of their own: with topic_name they need topics of their own ({type} in topic), or want topic_record_name")
	}
	if name == "dlstreamer" && !slices.ContainsFunc(s.Types, func(t string) bool {
		return strings.TrimPrefix(t, "sightline.") == string(detect.Detections)
	}) {
		c.bad(path+".format", "dlstreamer has a counterpart for detections alone: want types: [detections]")
	}
}

func (c *checker) registry(r *Registry, path string) {
	u, err := url.Parse(r.URL)
	switch {
	case r.URL == "":
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.bad(path+".url", "want http://HOST:PORT or https://HOST:PORT")
	case u.User != nil:
		c.bad(path+".url", "holds a login; it goes into username and password")
	}
	if r.Username == "" && !r.Password.IsZero() {
		c.bad(path+".password", "there is no username")
	}
}
