package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

// Message is a message as the client library reads it.
type Message = kafkago.Message

// Span says what to read.
type Span struct {
	Topics   []string  // names, or patterns with * and ?; none: what the configured topic can expand to
	Since    time.Time // leaves out what is older; zero: from the beginning
	UntilEnd bool      // ends with what was there at the start, else it waits for more
}

// End is where a partition begins and ends.
type End struct {
	Topic       string
	Partition   int
	First, Next int64 // offsets: of the oldest message, and of the next one to come
}

// Tail calls fn with every message of cfg's topics that is not older than since
// (zero: from the beginning), one at a time and in order per partition, until ctx
// ends (nil) or fn fails (its error). It belongs to no consumer group and commits
// nothing. The topics must exist; a broker that goes away later is waited for.
func Tail(ctx context.Context, cfg Config, since time.Time, fn func(Message) error) error {
	return Follow(ctx, cfg, Span{Since: since}, fn)
}

// Follow is Tail of a span. What a pattern fits is settled at the start.
func Follow(ctx context.Context, cfg Config, span Span, fn func(Message) error) error {
	from, err := newCluster(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer from.renew()
	ends, err := from.ends(ctx, cfg.patterns(span.Topics))
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return from.explain(err)
	}
	var one sync.Mutex // fn is called by one reader at a time
	group, ctx := errgroup.WithContext(ctx)
	for _, end := range ends {
		group.Go(func() error {
			return from.tailPartition(ctx, end, span, func(m Message) error {
				one.Lock()
				defer one.Unlock()
				if ctx.Err() != nil {
					return nil
				}
				return fn(m)
			})
		})
	}
	return group.Wait()
}

// Ends tells where the partitions of topics begin and end now, in the order of their
// names and numbers. Topics are as in a Span.
func Ends(ctx context.Context, cfg Config, topics ...string) ([]End, error) {
	from, err := newCluster(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer from.renew()
	ends, err := from.ends(ctx, cfg.patterns(topics))
	if err != nil {
		return nil, from.explain(err)
	}
	return ends, nil
}

// patterns are the topics asked for, else what cfg's own template can expand to.
func (c Config) patterns(topics []string) []string {
	if len(topics) > 0 {
		return topics
	}
	return []string{regexp.MustCompile(`\{[a-z]*\}`).ReplaceAllString(c.Topic, "*")}
}

func isPattern(topic string) bool { return strings.ContainsAny(topic, "*?") }

// ends finds the topics and asks where their partitions begin and end.
func (c *cluster) ends(ctx context.Context, patterns []string) ([]End, error) {
	topics, err := c.match(ctx, patterns)
	if err != nil {
		return nil, err
	}
	ask := map[string][]kafkago.OffsetRequest{}
	for name, t := range topics {
		for _, p := range t.Partitions {
			ask[name] = append(ask[name], kafkago.FirstOffsetOf(p.ID), kafkago.LastOffsetOf(p.ID))
		}
	}
	answer, err := c.client(nil).ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: ask})
	if err != nil {
		return nil, bare(err)
	}
	var out []End
	for name, partitions := range answer.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, &topicError{name, fmt.Errorf("partition %d: %w", p.Partition, p.Error)}
			}
			out = append(out, End{name, p.Partition, p.FirstOffset, p.LastOffset})
		}
	}
	slices.SortFunc(out, func(a, b End) int {
		if n := strings.Compare(a.Topic, b.Topic); n != 0 {
			return n
		}
		return a.Partition - b.Partition
	})
	return out, nil
}

// match is the topics that the patterns name. A name that is not there is an error,
// and so is a pattern that fits nothing.
func (c *cluster) match(ctx context.Context, patterns []string) (map[string]kafkago.Topic, error) {
	var names []string // nil asks about all there are
	if !slices.ContainsFunc(patterns, isPattern) {
		names = patterns
	}
	all, err := c.describe(ctx, names)
	if err != nil {
		return nil, err
	}
	out := map[string]kafkago.Topic{}
	for _, pattern := range patterns {
		found := 0
		for name, t := range all {
			if ok, err := path.Match(pattern, name); err != nil {
				return nil, &topicError{pattern, fmt.Errorf("not a pattern: %w", err)}
			} else if !ok || t.Internal && name != pattern {
				continue
			}
			if t.Error != nil {
				return nil, &topicError{name, t.Error}
			}
			out[name] = t
			found++
		}
		if found == 0 && isPattern(pattern) {
			return nil, &topicError{pattern, errors.New("no topic has such a name, or none that this client may describe")}
		}
		if found == 0 {
			return nil, &topicError{pattern, kafkago.UnknownTopicOrPartition}
		}
	}
	return out, nil
}

// endPatience is how long nothing may come of what is there until the end.
const endPatience = 30 * time.Second

func (c *cluster) tailPartition(ctx context.Context, end End, span Span, fn func(Message) error) error {
	dialer := &kafkago.Dialer{ClientID: c.cfg.ClientID, Timeout: dialTimeout, DialFunc: c.dialer.dial}
	if c.login != nil {
		dialer.SASLMechanism = c.login
	}
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: c.cfg.Brokers, Topic: end.Topic, Partition: end.Partition, Dialer: dialer,
		MaxAttempts: math.MaxInt32, // to reach a broker that is away
		MinBytes:    1, MaxBytes: 16 << 20, MaxWait: 500 * time.Millisecond, QueueCapacity: 100,
		ReadBackoffMin: 50 * time.Millisecond,
	})
	defer reader.Close()
	if !span.Since.IsZero() {
		if err := reader.SetOffsetAt(ctx, span.Since); err != nil && ctx.Err() == nil {
			return fmt.Errorf("kafka topic %s, partition %d: find the messages since %v: %w", end.Topic, end.Partition, span.Since, err)
		}
	}
	next := max(reader.Offset(), end.First)
	if reader.Offset() == kafkago.LastOffset { // nothing is as young as since
		next = end.Next
	}
	for !span.UntilEnd || next < end.Next {
		m, err := readMessage(ctx, reader, span.UntilEnd)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("kafka topic %s, partition %d: read from offset %d on: %w", end.Topic, end.Partition, next, err)
		}
		if span.UntilEnd && m.Offset >= end.Next {
			return nil
		}
		next = m.Offset + 1
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}

func readMessage(ctx context.Context, reader *kafkago.Reader, impatient bool) (Message, error) {
	if !impatient {
		return reader.ReadMessage(ctx)
	}
	short, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	m, err := reader.ReadMessage(short)
	if short.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("nothing came for %v, and the end is not reached: the broker is away, or the rest is compacted away or of a transaction", endPatience)
	}
	return m, err
}
