package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/detect"
	"sightline/sink"
)

// Sink publishes to topics of one cluster. It uses the client's produce requests and
// not its Writer: the Writer goes on sending what was queued after it has reported an
// error, lingers for a batch to fill, and puts several batches of one partition in
// flight, of which the first may fail and the second succeed.
type Sink struct {
	*cluster
	topic, key sink.Template
	balancer   kafkago.Murmur2Balancer

	ids        []int            // 0, 1, 2, …
	partitions map[string]int   // of each topic, as they were last seen
	moves      int              // how often that changed
	messages   []message        // room for the next Publish
	values     []byte           // the same
	batchers   map[int]*batcher // the same, by broker
	stale      atomic.Bool      // leaders have changed since they were asked about
	throttle   atomic.Int32     // ms that the broker last made us wait for its quota
	mu         sync.Mutex       // guards limits, and Format while brokers are sent to side by side
	limits     map[string]int   // bytes of a batch, of topics that take less than BatchBytes
	closed     bool
}

var (
	_ sink.Sink   = (*Sink)(nil)
	_ sink.Router = (*Sink)(nil)
)

// New makes a sink of a valid cfg. It reads the TLS files and opens no connection:
// a broker that is not there shows in Publish.
func New(cfg Config, log *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	to, err := newCluster(cfg, log)
	if err != nil {
		return nil, err
	}
	s := &Sink{
		cluster: to, partitions: map[string]int{}, batchers: map[int]*batcher{}, limits: map[string]int{},
		// Every key is hashed, the empty one too, as Java's producer does it.
		balancer: kafkago.Murmur2Balancer{Consistent: true},
	}
	if s.topic, err = ParseTopic(cfg.Topic); err == nil {
		s.key, err = keyTemplate(cfg.Key, cfg.PartitionBy)
	}
	return s, err
}

// Publish sends the events, one batch at a time to each partition, brokers side by
// side, and returns when all in-sync replicas have them, after WriteTimeout, or when
// ctx ends. What was under way then may still arrive. A topic that is missing fails
// its own events alone.
func (s *Sink) Publish(ctx context.Context, events []sink.Record) error {
	if s.closed {
		return fmt.Errorf("kafka: the sink of topic %s is closed", s.cfg.Topic)
	}
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if s.stale.Swap(false) {
		s.renew()
	}
	var result outcome
	half, stop := context.WithTimeout(ctx, s.cfg.WriteTimeout/2) // a schema registry that hangs leaves the rest to other events
	messages := s.encode(half, events, &result)
	stop()
	defer clear(messages) // keep nothing of the events
	if len(messages) == 0 {
		return result.partial(s.explain)
	}
	topics, err := s.find(ctx, messages)
	if err != nil {
		return s.explain(&topicError{s.cfg.Topic, &brokerError{err}})
	}
	s.send(ctx, s.client(nil), s.lanes(messages, topics, &result), &result)
	return result.partial(s.explain)
}

// find learns of the messages' topics, and makes those that are missing where that
// was asked for, in a part of the time: the other topics are to have theirs.
func (s *Sink) find(ctx context.Context, messages []message) (map[string]kafkago.Topic, error) {
	names := map[string]bool{}
	for i := range messages {
		names[messages[i].topic] = true
	}
	topics, err := s.describe(ctx, slices.Sorted(maps.Keys(names)))
	if err != nil {
		return nil, err
	}
	if s.cfg.Create != nil {
		half, stop := context.WithTimeout(ctx, s.cfg.WriteTimeout/4)
		s.create(half, topics)
		stop()
	}
	for name, t := range topics {
		if t.Error == nil {
			s.found(name, len(t.Partitions))
		}
	}
	return topics, nil
}

// found notes how many partitions a topic has.
func (s *Sink) found(topic string, n int) {
	switch before, known := s.partitions[topic]; {
	case !known:
		s.log.Info("kafka topic found", "topic", topic, "brokers", s.cfg.Brokers, "partitions", n)
	case n != before:
		s.moves++
		s.log.Warn("kafka topic has another number of partitions: keys move, and their order with them",
			"topic", topic, "before", before, "now", n, "changes", s.moves)
	}
	s.partitions[topic] = n
}

// limit is how many bytes a batch for the topic may have.
func (s *Sink) limit(topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.limits[topic]; n > 0 {
		return n
	}
	return s.cfg.BatchBytes
}

// learn keeps batches for a topic to half of the one that was too large for it.
func (s *Sink) learn(l *lane) {
	size := 0
	for i := range l.messages[:l.sent] {
		size += l.messages[i].size
	}
	l.limit = max(minBatch, size/2)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits[l.topic] == 0 {
		s.log.Info("kafka topic takes less at once than batches hold: they become smaller", "topic", l.topic, "bytes", size)
	}
	s.limits[l.topic] = l.limit
}

// throttled says once when the broker begins to slow this client down, and when it
// ends.
func (s *Sink) throttled(ms int32) {
	switch before := s.throttle.Swap(ms); {
	case ms > 0 && before == 0:
		s.log.Warn("kafka broker slows this client down: its quota (producer_byte_rate, request_percentage) is reached", "wait_ms", ms)
	case ms == 0 && before > 0:
		s.log.Info("kafka broker no longer slows this client down")
	}
}

// Close closes the connections. Nothing waits in the sink, so nothing is flushed.
// It may be called again.
func (s *Sink) Close(context.Context) error {
	s.closed = true
	s.renew()
	return nil
}

// Takes tells whether the format has a counterpart for the type of event.
func (s *Sink) Takes(t detect.Type) bool { return s.cfg.Format == nil || s.cfg.Format.Takes(t) }
