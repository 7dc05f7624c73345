package kafka

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

// Message is a message as the client library reads it.
type Message = kafkago.Message

// Tail calls fn with every message of cfg's topic that is not older than since
// (zero: from the beginning), one at a time and in order per partition, until ctx
// ends (nil) or fn fails (its error). It belongs to no consumer group and commits
// nothing. The topic must exist; a broker that goes away later is waited for.
func Tail(ctx context.Context, cfg Config, since time.Time, fn func(Message) error) error {
	from, err := newCluster(cfg)
	if err != nil {
		return err
	}
	defer from.transport.CloseIdleConnections()
	topic, err := from.describe(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return from.explain(err)
	}
	var one sync.Mutex // fn is called by one reader at a time
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range topic.Partitions {
		group.Go(func() error {
			return tailPartition(ctx, cfg, from.transport, p.ID, since, func(m Message) error {
				one.Lock()
				defer one.Unlock()
				return fn(m)
			})
		})
	}
	return group.Wait()
}

func tailPartition(ctx context.Context, cfg Config, tr *kafkago.Transport, partition int, since time.Time, fn func(Message) error) error {
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: cfg.Brokers, Topic: cfg.Topic, Partition: partition,
		Dialer:      &kafkago.Dialer{ClientID: cfg.ClientID, Timeout: dialTimeout, TLS: tr.TLS, SASLMechanism: tr.SASL},
		MaxAttempts: math.MaxInt32, // to reach a broker that is away
		MinBytes:    1, MaxBytes: 16 << 20, MaxWait: 500 * time.Millisecond, QueueCapacity: 100,
		ReadBackoffMin: 50 * time.Millisecond,
	})
	defer reader.Close()
	if !since.IsZero() {
		if err := reader.SetOffsetAt(ctx, since); err != nil && ctx.Err() == nil {
			return fmt.Errorf("kafka topic %s, partition %d: find the messages since %v: %w", cfg.Topic, partition, since, err)
		}
	}
	for {
		m, err := reader.ReadMessage(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("kafka topic %s, partition %d: read: %w", cfg.Topic, partition, err)
		}
		if err := fn(m); err != nil {
			return err
		}
	}
}
