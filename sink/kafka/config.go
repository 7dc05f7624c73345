// Package kafka delivers events to topics of Kafka and waits until every in-sync
// replica has them. Order is kept per topic and key; events may arrive twice, and
// carry deterministic ids so that a consumer can tell.
package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink/format"
)

// Modes: how an event is laid out in a message.
const (
	Structured = "structured" // the whole CloudEvent as JSON, its attributes in headers besides
	Binary     = "binary"     // data alone, the attributes in headers
)

// Timestamps: what a message's own time stamp tells.
const (
	SendTime  = "send"  // when it was sent
	EventTime = "event" // the event's time
)

// Config says where events go and how.
type Config struct {
	Brokers      []string      // host:port; any that answers tells of the others
	Topic        string        // a template, see Sink.Route
	Key          string        // a template of what order is kept among; "": SITE/STREAM
	PartitionBy  string        // stream, track, zone, site: a shorthand for Key; "": see Key
	Create       *Create       // nil: topics must exist
	Compression  string        // none, gzip, snappy, lz4, zstd
	Mode         string        // structured, binary; only without Format
	Format       format.Format // of a message's value; nil: CloudEvents as Mode says
	Timestamp    string        // send, event
	TLS          *TLS          // nil: plain text
	SASL         *SASL         // nil: no authentication
	ClientID     string
	WriteTimeout time.Duration // longest a Publish may take
	BatchBytes   int           // most bytes sent to a partition at once, before compression
	MaxMessage   int           // most bytes of one message, before compression
}

// Create is how a topic that does not exist is made.
type Create struct {
	Partitions  int // 0: the broker's default
	Replication int // 0: the broker's default
	Config      map[string]string
}

// Defaults returns a configuration that lacks only brokers and topic.
func Defaults() Config {
	return Config{
		Compression: "none", Mode: Structured, Timestamp: SendTime, ClientID: "sightline",
		WriteTimeout: 10 * time.Second, BatchBytes: 1_000_000, MaxMessage: 1_000_000,
	}
}

var compressions = map[string]kafkago.Compression{
	"none": 0, "gzip": kafkago.Gzip, "snappy": kafkago.Snappy, "lz4": kafkago.Lz4, "zstd": kafkago.Zstd,
}

// The least bounds that make sense.
const (
	minBatch   = 1024
	minMessage = 4096 // of an event with nothing of much length in it, with its headers
)

// Validate reports every mistake at once, each beginning with the key it is about.
// It opens nothing.
func (c Config) Validate() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(len(c.Brokers) == 0, "brokers: none given")
	for i, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, portErr := strconv.Atoi(port)
		fault(err != nil || host == "" || portErr != nil || n < 1 || n > 65535, "brokers[%d]: %q is not host:port", i, b)
	}
	_, err := ParseTopic(c.Topic)
	fault(err != nil, "topic: %v", err)
	_, err = keyTemplate(c.Key, c.PartitionBy)
	fault(err != nil, "%v", err)
	if m := c.Create; m != nil {
		fault(m.Partitions < 0, "create_topic.partitions: %d is negative", m.Partitions)
		fault(m.Replication < 0, "create_topic.replication: %d is negative", m.Replication)
	}
	_, known := compressions[c.Compression]
	fault(!known, "compression: %q is none of none, gzip, snappy, lz4, zstd", c.Compression)
	fault(c.Mode != Structured && c.Mode != Binary, "mode: %q is neither structured nor binary", c.Mode)
	fault(c.Timestamp != SendTime && c.Timestamp != EventTime, "timestamp: %q is neither send nor event", c.Timestamp)
	fault(c.WriteTimeout <= 0, "write_timeout: %v is not positive", c.WriteTimeout)
	fault(c.BatchBytes < minBatch, "batch_bytes: %d is less than %d", c.BatchBytes, minBatch)
	fault(c.MaxMessage < minMessage, "max_message: %d is less than %d", c.MaxMessage, minMessage)
	errs = append(errs, c.TLS.Validate())
	if s := c.SASL; s != nil {
		fault(!slices.Contains(Mechanisms(), s.Mechanism), "sasl.mechanism: %q is none of %s", s.Mechanism, strings.Join(Mechanisms(), ", "))
		bearer := s.Mechanism == OAuthBearer
		fault(!bearer && s.Username == "", "sasl.username: missing")
		fault(!bearer && s.Password == nil, "sasl.password: missing")
		fault(bearer && s.Token == nil, "sasl.token: missing")
	}
	return errors.Join(errs...)
}
