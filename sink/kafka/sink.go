package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink"
)

// Sink publishes to one topic. It uses the client's produce requests and not its
// Writer: the Writer goes on sending what was queued after it has reported an
// error, lingers for a batch to fill, and puts several batches of one partition in
// flight, of which the first may fail and the second succeed.
type Sink struct {
	*cluster
	log      *slog.Logger
	balancer kafkago.Murmur2Balancer

	ids    []int // partitions, ascending
	values []byte
	closed bool
}

var _ sink.Sink = (*Sink)(nil)

// New makes a sink of a valid cfg. It reads the TLS files and opens no connection:
// a broker that is not there shows in Publish.
func New(cfg Config, log *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	to, err := newCluster(cfg)
	if err != nil {
		return nil, err
	}
	return &Sink{
		cluster: to, log: log,
		// Every key is hashed, the empty one too, as Java's producer does it.
		balancer: kafkago.Murmur2Balancer{Consistent: true},
	}, nil
}

// Publish sends the events, one batch at a time to each partition, the partitions
// side by side, and returns when all in-sync replicas have them, after
// WriteTimeout, or when ctx ends. What was under way then may still arrive.
func (s *Sink) Publish(ctx context.Context, events []sink.Record) error {
	if s.closed {
		return fmt.Errorf("kafka: the sink of topic %s is closed", s.cfg.Topic)
	}
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if err := s.partitions(ctx); err != nil {
		return s.explain(err)
	}
	var result outcome
	s.send(ctx, s.encode(events, &result), &result)
	return result.partial(s.explain)
}

// send shares the messages out to their partitions and waits for all of them.
func (s *Sink) send(ctx context.Context, messages []message, result *outcome) {
	lanes := make(map[int][]message, len(s.ids))
	for _, m := range messages {
		p := s.balancer.Balance(kafkago.Message{Key: m.key}, s.ids...)
		lanes[p] = append(lanes[p], m)
	}
	var wg sync.WaitGroup
	for p, lane := range lanes {
		wg.Go(func() { s.sendLane(ctx, p, lane, result) })
	}
	wg.Wait()
	if result.err != nil {
		s.values = nil // a request given up on may still be read by the client
	}
}

// sendLane delivers one partition's messages in order. A failure ends it, so that
// no later event overtakes one that has to be sent again. A batch refused for good
// is halved until the event at fault stands alone.
func (s *Sink) sendLane(ctx context.Context, partition int, lane []message, result *outcome) {
	for len(lane) > 0 {
		n := fitting(lane, s.cfg.BatchBytes)
		err := s.produce(ctx, partition, lane[:n])
		for permanent(err) && n > 1 {
			n /= 2
			err = s.produce(ctx, partition, lane[:n])
		}
		switch {
		case permanent(err):
			result.refuse(lane[0], err)
		case err != nil:
			result.fail(lane, err)
			return
		}
		lane = lane[n:]
	}
}

func (s *Sink) produce(ctx context.Context, partition int, batch []message) error {
	records := make([]kafkago.Record, len(batch))
	for i, m := range batch {
		records[i] = kafkago.Record{
			Time: m.time, Key: kafkago.NewBytes(m.key), Value: kafkago.NewBytes(m.value), Headers: m.headers,
		}
	}
	res, err := s.client.Produce(ctx, &kafkago.ProduceRequest{
		Topic: s.cfg.Topic, Partition: partition, RequiredAcks: kafkago.RequireAll,
		Records: kafkago.NewRecordReader(records...), Compression: compressions[s.cfg.Compression],
	})
	if err != nil {
		return bare(err)
	}
	return res.Error
}

// partitions learns how many partitions the topic has.
func (s *Sink) partitions(ctx context.Context) error {
	topic, err := s.describe(ctx)
	if err != nil {
		return err
	}
	switch n := len(topic.Partitions); {
	case len(s.ids) == 0:
		s.log.Info("kafka topic found", "topic", s.cfg.Topic, "brokers", s.cfg.Brokers, "partitions", n)
	case n != len(s.ids):
		s.log.Warn("kafka topic has another number of partitions: keys move, and their order with them",
			"topic", s.cfg.Topic, "before", len(s.ids), "now", n)
	}
	s.ids = s.ids[:0]
	for i := range topic.Partitions {
		s.ids = append(s.ids, i)
	}
	return nil
}

// Close closes the connections. Nothing waits in the sink, so nothing is flushed.
// It may be called again.
func (s *Sink) Close(context.Context) error {
	s.closed = true
	s.transport.CloseIdleConnections()
	return nil
}
