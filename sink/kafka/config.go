// Package kafka delivers events to a Kafka topic and waits until every in-sync
// replica has them. Order is kept per partition key; events may arrive twice, and
// carry deterministic ids so that a consumer can tell.
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
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
	Brokers      []string // host:port; any that answers tells of the others
	Topic        string   // must exist
	Compression  string   // none, gzip, snappy, lz4, zstd
	Mode         string   // structured, binary
	Timestamp    string   // send, event
	TLS          *TLS     // nil: plain text
	SASL         *SASL    // nil: no authentication
	ClientID     string
	WriteTimeout time.Duration // longest a Publish may take
	BatchBytes   int           // most bytes sent to a partition at once, before compression
}

// TLS asks for an encrypted connection. All paths are PEM files.
type TLS struct {
	CA         string // empty: the system's
	Cert, Key  string // the client's own; both or none
	ServerName string // empty: the broker's host name
}

// SASL is how the client says who it is.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	Username  string
	Password  string // never logged nor part of an error
}

// Defaults returns a configuration that lacks only brokers and topic.
func Defaults() Config {
	return Config{
		Compression: "none", Mode: Structured, Timestamp: SendTime, ClientID: "sightline",
		WriteTimeout: 10 * time.Second, BatchBytes: 1_000_000,
	}
}

var compressions = map[string]kafkago.Compression{
	"none": 0, "gzip": kafkago.Gzip, "snappy": kafkago.Snappy, "lz4": kafkago.Lz4, "zstd": kafkago.Zstd,
}

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

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
	fault(!topicName.MatchString(c.Topic) || c.Topic == "." || c.Topic == "..",
		"topic: %q is not a topic's name: letters, digits, '.', '_' and '-', at most 249", c.Topic)
	_, known := compressions[c.Compression]
	fault(!known, "compression: %q is none of none, gzip, snappy, lz4, zstd", c.Compression)
	fault(c.Mode != Structured && c.Mode != Binary, "mode: %q is neither structured nor binary", c.Mode)
	fault(c.Timestamp != SendTime && c.Timestamp != EventTime, "timestamp: %q is neither send nor event", c.Timestamp)
	fault(c.WriteTimeout <= 0, "write_timeout: %v is not positive", c.WriteTimeout)
	fault(c.BatchBytes < 1024, "batch_bytes: %d is less than 1024", c.BatchBytes)
	if t := c.TLS; t != nil {
		fault((t.Cert == "") != (t.Key == ""), "tls: cert and key go together")
	}
	if s := c.SASL; s != nil {
		fault(!slices.Contains(mechanisms, s.Mechanism), "sasl.mechanism: %q is none of %s", s.Mechanism, strings.Join(mechanisms, ", "))
		fault(s.Username == "", "sasl.username: missing")
		fault(s.Password == "", "sasl.password: missing")
	}
	return errors.Join(errs...)
}

func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert, tls.key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	algorithm := scram.SHA512
	switch s.Mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case "SCRAM-SHA-256":
		algorithm = scram.SHA256
	}
	m, err := scram.Mechanism(algorithm, s.Username, s.Password)
	if err != nil {
		return nil, fmt.Errorf("sasl: username or password has characters that %s does not allow", s.Mechanism)
	}
	return m, nil
}
