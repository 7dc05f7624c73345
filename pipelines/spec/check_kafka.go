package spec

import (
	"sightline/sink"
	"sightline/sink/kafka"
)

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
	c.kafkaTemplates(k, path)
	if k.MaxMessage < leastMessage && !c.failed(path+".max_message") {
		c.bad(path+".max_message", "want at least 4KiB: smaller ones hold no event")
	}
	if k.TLS != nil && (k.TLS.Cert == "") != (k.TLS.Key == "") {
		c.bad(path+".tls", "want cert and key together")
	}
	if k.Mode == "binary" && k.Format != "cloudevents" {
		c.bad(path+".mode", "binary is a mode of cloudevents, the format is %s", k.Format)
	}
	if k.SASL != nil && k.SASL.Mechanism != "" {
		c.kafkaLogin(k.SASL, path+".sasl")
	}
	if k.Embedded() && k.TLS != nil {
		c.bad(path+".tls", "the embedded broker has no TLS")
	}
	if k.Embedded() && k.SASL != nil {
		c.bad(path+".sasl", "the embedded broker asks for no login")
	}
}

// leastMessage is the least max_message.
const leastMessage = 4096

func (c *checker) kafkaTemplates(k *Kafka, path string) {
	if k.Topic != "" {
		if _, err := kafka.ParseTopic(k.Topic); err != nil {
			c.bad(path+".topic", "%v", err)
		}
	}
	if _, err := sink.ParseTemplate(k.Key); err != nil {
		c.bad(path+".key", "%v", err)
	}
	if k.Key != "" && k.PartitionBy != "" {
		c.bad(path+".partition_by", "goes without key: one of them says it")
	}
}

func (c *checker) kafkaLogin(s *SASL, path string) {
	missing := func(is bool, key string) {
		if is {
			c.bad(path, "%s needs %s", s.Mechanism, key)
		}
	}
	missing(s.Bearer() && s.Token.IsZero(), "token")
	missing(!s.Bearer() && s.Username == "", "username")
	missing(!s.Bearer() && s.Password.IsZero(), "password")
	if s.Bearer() && (s.Username != "" || !s.Password.IsZero()) {
		c.bad(path, "OAUTHBEARER takes a token, not username and password")
	}
	if !s.Bearer() && !s.Token.IsZero() {
		c.bad(path+".token", "a key of OAUTHBEARER only")
	}
}
