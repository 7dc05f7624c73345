package spec

import "regexp"

func (c *checker) kafka(k *Kafka, path string) {
	for i, b := range k.Brokers {
		at := itemPath(path+".brokers", "", i)
		if b == EmbeddedBroker {
			if len(k.Brokers) > 1 {
				c.bad(at, "an embedded broker stands alone")
			}
			continue
		}
		if host, ok := hostPort(b); !ok || host == "" {
			c.bad(at, "want HOST:PORT, such as localhost:9092")
		}
	}
	if k.Topic != "" && (!topicName().MatchString(k.Topic) || k.Topic == "." || k.Topic == "..") {
		c.bad(path+".topic", "not a topic's name: want letters, digits, `.`, `_` and `-`, 249 at most")
	}
	if k.TLS != nil && (k.TLS.Cert == "") != (k.TLS.Key == "") {
		c.bad(path+".tls", "want cert and key together")
	}
	if k.Mode == "binary" && k.Format != "cloudevents" {
		c.bad(path+".mode", "binary is a mode of cloudevents, the format is %s", k.Format)
	}
	if k.Embedded() && k.TLS != nil {
		c.bad(path+".tls", "the embedded broker has no TLS")
	}
	if k.Embedded() && k.SASL != nil {
		c.bad(path+".sasl", "the embedded broker asks for no login")
	}
}

func topicName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`) }
