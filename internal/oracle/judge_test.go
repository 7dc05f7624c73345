package oracle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink"
	"sightline/sink/verify"
)

// made is an event as the driver told of it.
type made struct {
	id, key string
	at      time.Time
	by      *driver
	kept    bool // it was on disk for sure
	acked   bool
}

// arrival is what is known of an id in the topic.
type arrival struct {
	sum      [sha256.Size]byte
	sequence uint64
}

// judge knows what was made, from the drivers' diaries, and what is in the topic,
// from a consumer of its own. It asks neither spool nor delivery anything.
type judge struct {
	mu      sync.Mutex
	made    map[string]*made
	order   map[string][]*made // by key
	arrived map[string]arrival
	firsts  map[string][]string // ids by key, in order of first arrival
	next    []int64             // by partition
	repeats int
	faults  []string
	checker *verify.Checker
}

func newJudge(topic string, partitions int) *judge {
	return &judge{
		made: map[string]*made{}, order: map[string][]*made{}, arrived: map[string]arrival{}, firsts: map[string][]string{},
		next: make([]int64, partitions),
		checker: verify.New(verify.Config{Topics: map[string]verify.Topic{
			topic: {Partitions: partitions, First: make([]int64, partitions)},
		}}),
	}
}

// hear takes a line of a driver.
func (j *judge) hear(d *driver) func(line) {
	return func(l line) {
		j.mu.Lock()
		defer j.mu.Unlock()
		m := j.made[l.id]
		switch {
		case l.what == 'm':
			m = &made{id: l.id, key: l.key, at: l.at, by: d}
			j.made[l.id] = m
			j.order[l.key] = append(j.order[l.key], m)
		case m != nil && l.what == 'k':
			m.kept = true
		case m != nil && l.what == 'a':
			m.acked = true
		case l.what == 'a':
			j.fault("acknowledged %s, which nobody made", l.id)
		}
	}
}

func (j *judge) fault(format string, args ...any) {
	if len(j.faults) < 20 {
		j.faults = append(j.faults, fmt.Sprintf(format, args...))
	}
}

// follow reads a partition until ctx ends, through whatever happens to the broker.
func (j *judge) follow(ctx context.Context, broker, topic string, partition int) {
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: []string{broker}, Topic: topic, Partition: partition, MaxAttempts: math.MaxInt32,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 200 * time.Millisecond, ReadBackoffMin: 50 * time.Millisecond, ReadBackoffMax: 300 * time.Millisecond,
	})
	defer reader.Close()
	for {
		m, err := reader.ReadMessage(ctx)
		if err == nil {
			j.take(m)
		} else if ctx.Err() != nil {
			return
		}
	}
}

// take holds a message against those before it.
func (j *judge) take(m kafkago.Message) {
	id, sequence := "", ""
	h := sha256.New()
	headers := make([]sink.Header, len(m.Headers))
	for i, header := range m.Headers {
		headers[i] = sink.Header(header)
		fmt.Fprintf(h, "%s=%s\n", header.Key, header.Value)
		switch header.Key {
		case "ce_id":
			id = string(header.Value)
		case "ce_sequence":
			sequence = string(header.Value)
		}
	}
	fmt.Fprintf(h, "%s\n%s", m.Key, m.Value)
	key := string(m.Key)
	n, _ := strconv.ParseUint(sequence, 10, 64)

	j.mu.Lock()
	defer j.mu.Unlock()
	if m.Offset != j.next[m.Partition] {
		j.fault("the consumer read offset %d after %d of partition %d", m.Offset, j.next[m.Partition]-1, m.Partition)
	}
	j.next[m.Partition] = m.Offset + 1
	j.checker.Add(verify.Message{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Headers: headers})
	before, again := j.arrived[id]
	now := arrival{[sha256.Size]byte(h.Sum(nil)), n}
	switch {
	case again && before != now:
		j.fault("%s at offset %d is another than before: sequence %d, then %d", id, m.Offset, before.sequence, n)
	case again:
		j.repeats++
	default:
		j.arrived[id] = now
		if j.firsts[key] = append(j.firsts[key], id); n != uint64(len(j.firsts[key])) {
			j.fault("key %s: the %d. first arrival has sequence %d", key, len(j.firsts[key]), n)
		}
	}
}

// awaited tells how many events made before a time have not arrived and must.
func (j *judge) awaited(until time.Time) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, m := range j.made {
		if _, ok := j.arrived[id]; !ok && m.at.Before(until) && m.owed() != "" {
			n++
		}
	}
	return n
}

// owed says why the event has to arrive, "" if it may be lost: its driver was killed
// before it can have been on disk.
func (m *made) owed() string {
	age := m.by.kill.Sub(m.at)
	switch {
	case m.acked:
		return "acknowledged"
	case m.by.kill.IsZero():
		return "its driver was never killed"
	case m.kept:
		return fmt.Sprintf("on disk %v before its driver was killed", age)
	case age > m.by.sync+grace:
		return fmt.Sprintf("made %v before its driver was killed", age)
	}
	return ""
}

// reached tells whether the consumer has read up to these offsets.
func (j *judge) reached(ends []int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Equal(j.next, ends)
}

// grace is what a busy machine may add to the sync interval.
const grace = time.Second

// verdict fails the test for whatever was lost or came out of order. Everything has
// arrived that ever will.
func (j *judge) verdict(t testing.TB, out io.Writer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	unsynced, oldest, acked := 0, time.Duration(0), 0
	for key, events := range j.order {
		firsts := j.firsts[key]
		for _, m := range events {
			if m.acked {
				acked++
			}
			if len(firsts) > 0 && firsts[0] == m.id {
				firsts = firsts[1:]
				continue
			}
			if _, ok := j.arrived[m.id]; ok {
				j.fault("key %s: %s arrived, but not in the order in which the events were made", key, m.id)
				continue
			}
			if why := m.owed(); why != "" {
				j.fault("lost: %s of key %s, %s", m.id, key, why)
				continue
			}
			unsynced++
			oldest = max(oldest, m.by.kill.Sub(m.at))
		}
	}
	for id := range j.arrived {
		if j.made[id] == nil {
			j.fault("%s arrived, which nobody made", id)
		}
	}
	report := j.checker.Report()
	for _, f := range report.Faults {
		j.fault("sightline verify: %+v", f)
	}
	fmt.Fprintf(out, "%d events made, %d acknowledged, %d messages in the topic, %d of them repeats; %d events not yet synced were lost with their process, the oldest %v before its end\n",
		len(j.made), acked, report.Messages, j.repeats, unsynced, oldest.Round(time.Millisecond))
	for _, f := range j.faults {
		t.Error(f)
	}
}
