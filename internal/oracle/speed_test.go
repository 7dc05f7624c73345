package oracle

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/detect"
	kafkatest "sightline/internal/testkit/kafka"
	"sightline/pipelines/delivery"
	"sightline/sink"
	"sightline/sink/kafka"
	"sightline/sink/spool"
)

// What delivery through the spool costs, beside the client library alone: the same
// events, acknowledgments of all replicas, messages in a request, and broker, in turn
// within one run. Only ratios mean something on a machine that others use too.
const (
	atOnce  = 500 // events that are sent at once, to all partitions: what a delivery's Publish gets
	syncing = 50 * time.Millisecond
	ahead   = 24 << 20 // bytes that wait at most where events are made as fast as they go
)

// bench is a broker and events to send to it.
type bench struct {
	testing.TB
	broker *kafkatest.Broker
	topics int
}

func newBench(t testing.TB) *bench { return &bench{TB: t, broker: kafkatest.Start(t)} }

// topic makes one that is empty.
func (b *bench) topic() string {
	b.topics++
	name := fmt.Sprint("speed-", b.topics)
	b.broker.CreateTopic(name, partitions)
	b.warm(name)
	return name
}

// warm waits until the topic's partitions have leaders.
func (b *bench) warm(topic string) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for p := range partitions {
		for led := false; !led; <-poll.C {
			conn, err := kafkago.DialLeader(b.Context(), "tcp", b.broker.Addr, topic, p)
			if err == nil {
				_, err = conn.ReadFirstOffset()
				conn.Close()
			}
			if led = err == nil; b.Context().Err() != nil {
				b.Fatal(err)
			}
		}
	}
}

// writer is the client library as a careful user would set it.
func (b *bench) writer(topic string) *kafkago.Writer {
	transport := &kafkago.Transport{} // the shared one remembers for seconds that a topic was not there
	b.Cleanup(transport.CloseIdleConnections)
	return &kafkago.Writer{
		Transport: transport, Addr: kafkago.TCP(b.broker.Addr), Topic: topic, Balancer: kafkago.Murmur2Balancer{Consistent: true},
		RequiredAcks: kafkago.RequireAll, BatchSize: atOnce, BatchBytes: 1e6, BatchTimeout: time.Millisecond,
	}
}

// events makes n events of streams with a name, those of each in order.
func makeAll(stream string, n int) []*detect.Event {
	random := rand.New(rand.NewPCG(7, 7))
	m := maker{epoch: fmt.Sprint(time.Now().UnixMicro()), ordinals: map[string]uint64{}}
	out := make([]*detect.Event, n)
	for i := range out {
		out[i] = m.event(random, fmt.Sprint(stream, i%streams))
	}
	return out
}

// messages are events as they are on the wire.
func messages(t testing.TB, events []*detect.Event) []kafkago.Message {
	out := make([]kafkago.Message, len(events))
	for i, ev := range events {
		r := sink.Record{Event: ev, Sequence: uint64(i/streams + 1)}
		value, err := sink.AppendStructured(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = kafkago.Message{Key: []byte(r.PartitionKey()), Value: value, Headers: []kafkago.Header{{Key: "content-type", Value: []byte(sink.StructuredType)}}}
		for _, h := range sink.Attributes(r) {
			out[i].Headers = append(out[i].Headers, kafkago.Header(h))
		}
	}
	return out
}

// bare sends messages by the client library alone and returns how long it took.
func (b *bench) bare(ms []kafkago.Message) time.Duration {
	w := b.writer(b.topic())
	defer w.Close()
	begin := time.Now()
	for part := range slices.Chunk(ms, atOnce) {
		if err := w.WriteMessages(b.Context(), part...); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin)
}

// queue is a running delivery.Queue.
type queue struct {
	*delivery.Queue
	acked atomic.Int64
	stop  func()
}

// deliver runs a delivery with a spool in dir.
func (b *bench) deliver(topic, dir string, most int64, policy spool.Policy, onAck func([]*detect.Event, time.Time)) *queue {
	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic = []string{b.broker.Addr}, topic
	log := slog.New(slog.DiscardHandler)
	s, err := kafka.New(cfg, log)
	if err != nil {
		b.Fatal(err)
	}
	d := &queue{}
	d.Queue, err = delivery.New(delivery.Config{
		Name: "speed", Spool: spool.Config{Path: dir, Max: most, Sync: syncing, WhenFull: policy},
		OnAck: func(events []*detect.Event, at time.Time) {
			d.acked.Add(int64(len(events)))
			onAck(events, at)
		},
	}, s, log)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	d.stop = sync.OnceFunc(func() {
		if err := d.Drain(b.Context()); err != nil {
			b.Error(err)
		}
		cancel()
		running.Wait()
		s.Close(context.Background())
	})
	b.Cleanup(d.stop)
	return d
}

// spooled sends events through spool and delivery and returns how long it took until
// all were acknowledged.
func (b *bench) spooled(events []*detect.Event) time.Duration {
	d := b.deliver(b.topic(), b.TempDir(), ahead, spool.Block, func([]*detect.Event, time.Time) {})
	begin := time.Now()
	for _, ev := range events {
		if err := d.Offer(b.Context(), ev); err != nil {
			b.Fatal(err)
		}
	}
	d.stop()
	took := time.Since(begin)
	if n := d.acked.Load(); n != int64(len(events)) {
		b.Fatalf("%d of %d acknowledged", n, len(events))
	}
	return took
}

// BenchmarkThroughput compares events a second through the spool with the client
// library's own.
func BenchmarkThroughput(b *testing.B) {
	x := newBench(b)
	n := number(b, "SIGHTLINE_EVENTS", 60_000)
	events := makeAll("s", n)
	ms := messages(b, events)
	x.bare(ms[:n/4]) // the broker compiles itself
	var ratios, rates []float64
	for b.Loop() {
		for round := range 3 {
			bare, spooled := x.bare(ms), x.spooled(events)
			if round%2 == 1 {
				spooled, bare = x.spooled(events), x.bare(ms) // neither is always first
			}
			ratios = append(ratios, bare.Seconds()/spooled.Seconds())
			rates = append(rates, float64(n)/spooled.Seconds())
		}
	}
	b.ReportMetric(median(ratios), "of-bare")
	b.ReportMetric(median(rates), "events/s")
	b.ReportMetric(0, "ns/op")
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func quantile(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return float64(all[int(float64(len(all)-1)*q)].Microseconds()) / 1000
}

// pace calls each for n events, rate a second, until ctx ends.
func pace(ctx context.Context, rate, n int, each func(i int)) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for i := 0; i < n && ctx.Err() == nil; {
		<-tick.C
		for due := int(time.Since(begin).Seconds() * float64(rate)); i < min(due, n); i++ {
			each(i)
		}
	}
}

// bareLatency sends messages as they are made, whatever waits in one request.
func (b *bench) bareLatency(ms []kafkago.Message, rate int) []time.Duration {
	w := b.writer(b.topic())
	defer w.Close()
	type item struct {
		i    int
		made time.Time
	}
	queue := make(chan item, len(ms))
	var all []time.Duration
	var sending sync.WaitGroup
	sending.Go(func() {
		for first := range queue {
			batch := []item{first}
			for len(queue) > 0 && len(batch) < atOnce {
				batch = append(batch, <-queue)
			}
			out := make([]kafkago.Message, len(batch))
			for i, it := range batch {
				out[i] = ms[it.i]
			}
			if err := w.WriteMessages(b.Context(), out...); err != nil {
				b.Error(err)
			}
			for now, i := time.Now(), 0; i < len(batch); i++ {
				all = append(all, now.Sub(batch[i].made))
			}
		}
	})
	pace(b.Context(), rate, len(ms), func(i int) { queue <- item{i, time.Now()} })
	close(queue)
	sending.Wait()
	return all
}

// spooledLatency offers events as they are made, and measures until each is
// acknowledged.
func (b *bench) spooledLatency(events []*detect.Event, rate int) []time.Duration {
	var mu sync.Mutex
	made := make(map[string]time.Time, len(events))
	var all []time.Duration
	d := b.deliver(b.topic(), b.TempDir(), 0, spool.DropOldest, func(acked []*detect.Event, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		for _, ev := range acked {
			all = append(all, at.Sub(made[ev.ID]))
		}
	})
	pace(b.Context(), rate, len(events), func(i int) {
		mu.Lock()
		made[events[i].ID] = time.Now()
		mu.Unlock()
		if err := d.Offer(b.Context(), events[i]); err != nil {
			b.Error(err)
		}
	})
	d.stop()
	return all
}

// BenchmarkLatency compares the time from made to acknowledged at 1,000 events a
// second: through the spool at most its sync interval and twice the library's own.
func BenchmarkLatency(b *testing.B) {
	x := newBench(b)
	const rate = 1000
	events := makeAll("s", 8*rate)
	ms := messages(b, events)
	x.bare(ms)
	var bare, spooled []time.Duration
	for b.Loop() {
		for range 2 {
			bare = append(bare, x.bareLatency(ms, rate)...)
			spooled = append(spooled, x.spooledLatency(events, rate)...)
		}
	}
	own, through := quantile(bare, .99), quantile(spooled, .99)
	b.ReportMetric(own, "bare-p99-ms")
	b.ReportMetric(through, "p99-ms")
	b.ReportMetric(quantile(spooled, .5), "p50-ms")
	b.ReportMetric(through/(float64(syncing.Milliseconds())+2*own), "of-allowed")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReplay drains a backlog (SIGHTLINE_BACKLOG events, such as an hour's
// outage leaves behind) while events of other keys are made, 200 a second.
func BenchmarkReplay(b *testing.B) {
	x := newBench(b)
	n, sample := number(b, "SIGHTLINE_BACKLOG", 200_000), 60_000
	dir := b.TempDir()
	x.fillSpool(dir, n)
	x.spooled(makeAll("w", sample/2)) // the broker compiles itself
	rate := float64(sample) / x.spooled(makeAll("s", sample)).Seconds()
	for b.Loop() {
		took, live := x.replay(dir, n)
		b.ReportMetric(float64(n)/took.Seconds(), "events/s")
		b.ReportMetric(float64(n)/took.Seconds()/rate, "of-fresh")
		b.ReportMetric(quantile(live, .99), "live-p99-ms")
		b.ReportMetric(quantile(live, .5), "live-p50-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// fillSpool leaves n events in a spool, as a process does whose broker is away.
func (b *bench) fillSpool(dir string, n int) {
	q, err := spool.Open(spool.Config{Path: dir, Sync: syncing}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 5))
	m := maker{epoch: "1", ordinals: map[string]uint64{}}
	for i := range n {
		if err := q.Append(b.Context(), m.event(random, fmt.Sprint("old", i%streams)), sink.Route{}); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 || i == n-1 {
			if err := q.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	}
	q.Close()
	if _, err := q.Release(); err != nil {
		b.Fatal(err)
	}
}

// replay delivers what the spool holds and returns how long it took, and how long
// each of the events made meanwhile.
func (b *bench) replay(dir string, n int) (took time.Duration, live []time.Duration) {
	var mu sync.Mutex
	made := map[string]time.Time{}
	left := n
	done := make(chan time.Time, 1)
	d := b.deliver(b.topic(), dir, 0, spool.DropOldest, func(acked []*detect.Event, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		for _, ev := range acked {
			if t, ok := made[ev.ID]; ok {
				live = append(live, at.Sub(t))
			} else if left--; left == 0 {
				done <- at
			}
		}
	})
	begin := time.Now()
	ctx, cancel := context.WithCancel(b.Context())
	var making sync.WaitGroup
	making.Go(func() {
		random := rand.New(rand.NewPCG(6, 6))
		m := maker{epoch: "2", ordinals: map[string]uint64{}}
		pace(ctx, 200, math.MaxInt, func(i int) {
			ev := m.event(random, fmt.Sprint("new", i%streams))
			mu.Lock()
			made[ev.ID] = time.Now()
			mu.Unlock()
			if err := d.Offer(context.Background(), ev); err != nil {
				b.Error(err)
			}
		})
	})
	took = (<-done).Sub(begin)
	cancel()
	making.Wait()
	d.stop()
	return took, live
}
