package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink"
	"sightline/sink/format"
)

// outcome gathers what became of the events of one Publish; brokers report to it
// side by side.
type outcome struct {
	mu      sync.Mutex
	failed  []int
	refused map[int]error
	err     error // the first reason to try again, before others one that blames no event; else a refusal
}

// fail notes that every message of lane has to be sent again.
func (o *outcome) fail(lane []message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failed) == 0 || !sink.IsPassing(o.err) && sink.IsPassing(err) {
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
	size := ""
	if m.size > 0 { // else it came to no message
		size = fmt.Sprintf(", %d bytes", m.size)
	}
	err = &topicError{m.topic, fmt.Errorf("event %s%s: %w", m.record.Event.ID, size, err)}
	if o.err == nil {
		o.err = err
	}
	if o.refused == nil {
		o.refused = map[int]error{}
	}
	o.refused[m.index] = err
}

// partial returns the outcome as Publish reports it, nil when all is well.
func (o *outcome) partial(explain func(error) error) error {
	if o.err == nil {
		return nil
	}
	slices.Sort(o.failed)
	for i, err := range o.refused {
		o.refused[i] = explain(err)
	}
	return &sink.PartialError{Failed: o.failed, Refused: slices.Sorted(maps.Keys(o.refused)), Err: explain(o.err), Why: o.refused}
}

// topicError is an error that one topic has.
type topicError struct {
	topic string
	err   error
}

func (e *topicError) Error() string { return e.err.Error() }
func (e *topicError) Unwrap() error { return e.err }

// Temporary tells that no event is at fault: it passes, or an operator can mend it.
func (e *topicError) Temporary() bool {
	return is(e.err, kafkago.TopicAuthorizationFailed, kafkago.ClusterAuthorizationFailed) || sink.IsPassing(e.err)
}

// createError is a topic that could not be made.
type createError struct{ err error }

func (e *createError) Error() string { return e.err.Error() }
func (e *createError) Unwrap() error { return e.err }
func (*createError) Temporary() bool { return true }

// brokerError is a broker that gave no answer.
type brokerError struct{ err error }

func (e *brokerError) Error() string { return e.err.Error() }
func (e *brokerError) Unwrap() error { return e.err }

// Temporary is false where the broker hung up: what it was sent may be why, such as
// a request that is larger than it takes.
func (e *brokerError) Temporary() bool {
	_, before := errors.AsType[*handshakeError](e.err)
	return before || !closedByPeer(e.err)
}

func is(err error, codes ...kafkago.Error) bool {
	return slices.ContainsFunc(codes, func(code kafkago.Error) bool { return errors.Is(err, code) })
}

// permanent tells whether the broker will refuse the same records every time. What
// an operator can mend (a missing topic, a password, a permission) is not.
func permanent(err error) bool {
	return tooLarge(err) || is(err, kafkago.InvalidRecord, kafkago.InvalidTimestamp)
}

func tooLarge(err error) bool {
	return is(err, kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge)
}

// moved tells whether leaders or partitions are others than the client thinks.
func moved(err error) bool {
	return is(err, kafkago.NotLeaderForPartition, kafkago.UnknownTopicOrPartition, kafkago.LeaderNotAvailable, kafkago.FencedLeaderEpoch)
}

// explain says where it went wrong and, where it is known, what to do about it.
func (c *cluster) explain(err error) error {
	err = c.login.hide(err)
	topic := c.cfg.Topic
	var of *topicError
	if errors.As(err, &of) {
		topic = of.topic
	}
	at := fmt.Sprintf("kafka %s, topic %s", strings.Join(c.cfg.Brokers, ","), topic)
	if _, ok := errors.AsType[*format.RegistryError](err); ok { // no broker's doing
		return fmt.Errorf("%s: %w", at, err)
	}
	for _, hint := range []string{c.brokerHint(err, topic), c.tlsHint(err), c.networkHint(err)} {
		if hint != "" {
			return fmt.Errorf("%s: %s: %w", at, hint, err)
		}
	}
	return fmt.Errorf("%s: %w", at, err)
}

// brokerHint is about what a broker said.
func (c *cluster) brokerHint(err error, topic string) string {
	var making *createError
	switch {
	case is(err, kafkago.SASLAuthenticationFailed) && c.login != nil && c.login.Mechanism == OAuthBearer:
		return "broker refused " + c.login.who() + "; is it of the issuer and for the audience that the broker wants, and not expired?"
	case is(err, kafkago.SASLAuthenticationFailed) && c.login != nil:
		return "broker refused the password of " + c.login.who()
	case is(err, kafkago.UnsupportedSASLMechanism) && c.login != nil:
		return "broker does not offer SASL " + c.login.Mechanism
	case is(err, kafkago.IllegalSASLState) && c.login != nil:
		return "broker's listener expects no SASL; leave sasl out or use its SASL port"
	case errors.As(err, &making) && is(err, kafkago.TopicAuthorizationFailed, kafkago.ClusterAuthorizationFailed):
		return "the client may not make the topic; it needs the operation Create on the topic (or on the cluster)"
	case errors.As(err, &making):
		return "the topic could not be made as create_topic says"
	case is(err, kafkago.UnknownTopicOrPartition):
		return fmt.Sprintf("the topic does not exist; create it: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 3 (or let create_topic do it)",
			c.cfg.Brokers[0], topic)
	case is(err, kafkago.TopicAuthorizationFailed, kafkago.ClusterAuthorizationFailed):
		return "the client may not write to the topic; it needs the operations Write and Describe: " +
			fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal User:NAME --operation Write --operation Describe --topic %s", c.cfg.Brokers[0], topic)
	case is(err, kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend):
		return "fewer replicas are in sync than the topic's min.insync.replicas"
	case tooLarge(err):
		return "larger than the topic's max.message.bytes"
	}
	return ""
}

// tlsHint is about encryption and the login in front of the first answer.
func (c *cluster) tlsHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		header    tls.RecordHeaderError
		handshake *handshakeError
	)
	switch {
	case errors.As(err, &authority):
		return "the broker's certificate is of an authority that is not trusted here; name it in tls.ca"
	case errors.As(err, &host):
		return "the broker's certificate is for another name; use that one in brokers, or say it in tls.server_name"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid now"
	case errors.As(err, &header):
		return "the broker's listener speaks no TLS; leave tls out or use its TLS port"
	case strings.Contains(err.Error(), "tls: certificate required"):
		return "the broker wants a client certificate; name one in tls.cert and tls.key"
	case strings.Contains(err.Error(), "remote error: tls: "):
		return "the broker refused the TLS connection, or the certificate of tls.cert"
	case errors.As(err, &handshake) && (closedByPeer(err) || errors.Is(err, context.DeadlineExceeded)):
		return "the broker does not answer as TLS does: its listener may be one of plain text; leave tls out or use its TLS port"
	case closedByPeer(err) && !c.reached && c.login != nil:
		return "broker closed the connection at the login of " + c.login.who() + ": a wrong password, or a listener that expects no SASL or other TLS"
	case closedByPeer(err) && !c.reached && c.cfg.TLS != nil:
		return "broker closed the connection: its listener may want a client certificate (tls.cert, tls.key) or SASL"
	case closedByPeer(err) && !c.reached:
		return "broker closed the connection: its listener may expect TLS or SASL"
	}
	return ""
}

// networkHint is about reaching the broker at all.
func (c *cluster) networkHint(err error) string {
	var name *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &name) && !c.listed(name.Name):
		return fmt.Sprintf("the brokers call themselves %s, which is unknown here; mend their advertised.listeners or this machine's DNS", name.Name)
	case errors.As(err, &name):
		return fmt.Sprintf("the host %s is unknown here; is it spelled right in brokers?", name.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		if errors.As(err, &op) && op.Addr != nil && c.reached && !c.listed(op.Addr.String()) {
			return fmt.Sprintf("nothing listens at %s, as a broker calls itself (advertised.listeners)", op.Addr)
		}
		return "nothing listens there; is the broker running, and is this its port?"
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer within the write timeout of %v", c.cfg.WriteTimeout)
	}
	return ""
}

// listed tells whether an address or host is one of those that were given.
func (c *cluster) listed(address string) bool {
	return slices.ContainsFunc(c.cfg.Brokers, func(b string) bool {
		host, _, _ := net.SplitHostPort(b)
		return b == address || host == address
	})
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
