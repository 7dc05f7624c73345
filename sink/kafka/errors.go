package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink"
)

// outcome gathers what became of the events of one Publish; partitions report to
// it side by side.
type outcome struct {
	mu      sync.Mutex
	failed  []int
	refused []int
	err     error // the first reason to try again; else the first refusal
}

// fail notes that every message of lane has to be sent again.
func (o *outcome) fail(lane []message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failed) == 0 {
		o.err = err
	}
	for _, m := range lane {
		o.failed = append(o.failed, m.index)
	}
}

// refuse notes that the message will never be accepted.
func (o *outcome) refuse(m message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = fmt.Errorf("event %s, %d bytes: %w", m.id, len(m.value), err)
	}
	o.refused = append(o.refused, m.index)
}

// partial returns the outcome as Publish reports it, nil when all is well.
func (o *outcome) partial(explain func(error) error) error {
	if o.err == nil {
		return nil
	}
	slices.Sort(o.failed)
	slices.Sort(o.refused)
	return &sink.PartialError{Failed: o.failed, Refused: o.refused, Err: explain(o.err)}
}

// permanent tells whether the broker will refuse the same records every time. What
// an operator can mend (a missing topic, a password, a permission) is not.
func permanent(err error) bool {
	for _, code := range []kafkago.Error{
		kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge, kafkago.InvalidRecord, kafkago.InvalidTimestamp,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// explain says where it went wrong and, where it is known, what to do about it.
func (c *cluster) explain(err error) error {
	at := fmt.Sprintf("kafka %s, topic %s", strings.Join(c.cfg.Brokers, ","), c.cfg.Topic)
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, kafkago.SASLAuthenticationFailed) && c.cfg.SASL != nil:
		return fmt.Errorf("%s: broker refused the password of user %q (SASL %s): %w", at, c.cfg.SASL.Username, c.cfg.SASL.Mechanism, err)
	case errors.Is(err, kafkago.UnsupportedSASLMechanism) && c.cfg.SASL != nil:
		return fmt.Errorf("%s: broker does not offer SASL %s: %w", at, c.cfg.SASL.Mechanism, err)
	case errors.Is(err, kafkago.UnknownTopicOrPartition):
		return fmt.Errorf("%s: the topic does not exist; create it: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 3: %w",
			at, c.cfg.Brokers[0], c.cfg.Topic, err)
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		return fmt.Errorf("%s: the client may not write to the topic; it needs the operations Write and Describe: %w", at, err)
	case errors.Is(err, kafkago.MessageSizeTooLarge):
		return fmt.Errorf("%s: larger than the topic's max.message.bytes: %w", at, err)
	case errors.As(err, &authority):
		return fmt.Errorf("%s: the broker's certificate is of an authority that is not trusted here; name it in tls.ca: %w", at, err)
	case closedByPeer(err) && !c.reached && c.cfg.SASL != nil:
		return fmt.Errorf("%s: broker closed the connection at the login of user %q (SASL %s): a wrong password, or a listener that expects no SASL or other TLS: %w",
			at, c.cfg.SASL.Username, c.cfg.SASL.Mechanism, err)
	case closedByPeer(err) && !c.reached:
		return fmt.Errorf("%s: broker closed the connection: its listener may expect TLS or SASL: %w", at, err)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s: no answer within the write timeout of %v: %w", at, c.cfg.WriteTimeout, err)
	}
	return fmt.Errorf("%s: %w", at, err)
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// bare takes the client library's own function names off an error.
func bare(err error) error {
	if inner := errors.Unwrap(err); inner != nil && strings.HasPrefix(err.Error(), "kafka.(*Client).") {
		return inner
	}
	return err
}
