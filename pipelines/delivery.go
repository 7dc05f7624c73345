package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// DeliveryConfig says how events reach one sink.
type DeliveryConfig struct {
	Name     string        // of the sink, in logs and errors
	Types    []detect.Type // what it takes; nil: all but detections
	MaxBytes int64         // most memory of waiting events; 0: 64 MiB
	MaxBatch int           // most events in one Publish; 0: 500
	Block    bool          // Offer waits when full (files at pace fastest) instead of dropping the oldest
	Backoff  time.Duration // pause after the first failure, doubled after each next one; 0: 200 ms
	// MaxBackoff is the longest pause; 0: 10 s. Pauses are shortened at random by
	// up to a half, so that many instances do not return at once.
	MaxBackoff time.Duration

	// OnState is told when the sink begins to fail and when it works again.
	OnState func(DeliveryState)
	// OnAck is told of accepted events and when that was known. Both are called by
	// Run's goroutine, which waits for them; they must not call Drain.
	OnAck func(events []*detect.Event, at time.Time)
}

// DeliveryState is how one sink is doing.
type DeliveryState struct {
	Name     string
	Degraded bool          // the last Publish failed
	Since    time.Time     // when that began, or ended; zero before the first Publish
	Err      error         // why, while degraded
	Attempt  int           // failures in a row
	Events   int           // waiting
	Bytes    int64         // of those, as estimated
	LastAck  time.Duration // from offer to acceptance, of the oldest event of the last batch
}

// Delivery is one sink's bounded queue and its delivery loop. Offer may be called
// from many goroutines; events of one stream must come from one at a time. A
// durable spool takes this queue's place once there is one.
type Delivery struct {
	cfg  DeliveryConfig
	sink sink.Sink
	log  *slog.Logger

	mu       sync.Mutex
	flight   []waiting // what Publish has, oldest first; never dropped
	queue    []waiting // what comes after
	bytes    int64     // of both
	closed   bool
	streams  map[string]*deliveryStream
	state    DeliveryState
	unlogged uint64    // drops since the last log line
	logged   time.Time // when that was
	warned   time.Time // last log line of a failure

	dead       int       // refused for good since the last log line of it
	deadLogged time.Time // when that was

	changed chan struct{} // closed and replaced at each change
}

type waiting struct {
	record  sink.Record
	bytes   int64
	offered time.Time
}

// deliveryStream is the numbering and the account of one stream.
type deliveryStream struct {
	epoch    string
	sequence uint64
	account  detect.SinkLedger // Spooled is filled in on demand
	waiting  uint64
}

// NewDelivery makes a delivery to s, which stays the caller's to close after Run
// has returned.
func NewDelivery(cfg DeliveryConfig, s sink.Sink, log *slog.Logger) *Delivery {
	setDefault(&cfg.MaxBytes, 64<<20)
	setDefault(&cfg.MaxBatch, 500)
	setDefault(&cfg.Backoff, 200*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 10*time.Second)
	return &Delivery{
		cfg: cfg, sink: s, log: log.With("sink", cfg.Name),
		streams: map[string]*deliveryStream{}, changed: make(chan struct{}),
		state: DeliveryState{Name: cfg.Name},
	}
}

func setDefault[T ~int | ~int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Offer numbers the event and queues it, unless the sink does not take its type.
// When the queue is full the oldest waiting events make room, or, with Block, Offer
// waits for room until ctx ends. It fails only then and after Drain; what it did
// not queue is accounted for as dropped. ev must not change any more.
func (d *Delivery) Offer(ctx context.Context, ev *detect.Event) error {
	size := footprint(ev)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stream(ev.Stream)
	if !d.takes(ev.Type) {
		s.account.Made++
		s.account.Filtered++
		return nil
	}
	var err error
	for d.cfg.Block && !d.closed && err == nil && !d.fits(size) {
		err = d.wait(ctx)
	}
	s.account.Made++ // only now that it gets into another column too
	switch {
	case err != nil:
		s.account.Dropped["canceled"]++
		return fmt.Errorf("sink %s: wait for room in the queue: %w", d.cfg.Name, err)
	case d.closed:
		s.account.Dropped["closed"]++
		return fmt.Errorf("sink %s: offered after the end", d.cfg.Name)
	}
	d.number(s, ev)
	d.makeRoom(size)
	if !d.fits(size) { // Publish has all the rest
		d.drop(s)
		return nil
	}
	d.queue = append(d.queue, waiting{sink.Record{Event: ev, Sequence: s.sequence}, size, time.Now()})
	d.bytes += size
	s.waiting++
	d.signal()
	return nil
}

// number gives the event its place in its stream. Without a spool the numbers
// begin again with each epoch, because nothing remembers them over a restart.
func (d *Delivery) number(s *deliveryStream, ev *detect.Event) {
	if epoch := ev.Data.Stream.Epoch; epoch != "" && epoch != s.epoch {
		s.epoch, s.sequence = epoch, 0
	}
	s.sequence++
}

// makeRoom drops the oldest events that Publish does not have.
func (d *Delivery) makeRoom(size int64) {
	n := 0
	for ; n < len(d.queue) && d.bytes+size > d.cfg.MaxBytes; n++ {
		w := d.queue[n]
		d.bytes -= w.bytes
		s := d.stream(w.record.Event.Stream)
		s.waiting--
		d.drop(s)
	}
	clear(d.queue[:n])
	d.queue = d.queue[n:]
}

// drop counts one event lost to a full queue, and logs a sum now and then.
func (d *Delivery) drop(s *deliveryStream) {
	s.account.Dropped["queue_full"]++
	d.unlogged++
	if now := time.Now(); now.Sub(d.logged) >= 10*time.Second {
		d.log.Warn("queue full: the oldest events are dropped", "events", d.unlogged, "limit_bytes", d.cfg.MaxBytes)
		d.logged, d.unlogged = now, 0
	}
}

// Ledger is what became of a stream's events up to now.
func (d *Delivery) Ledger(stream string) detect.SinkLedger {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.streams[stream]
	if !ok {
		return detect.SinkLedger{Dropped: map[string]uint64{}}
	}
	out := s.account
	out.Spooled, out.Dropped = s.waiting, maps.Clone(s.account.Dropped)
	return out
}

// State tells how the sink is doing.
func (d *Delivery) State() DeliveryState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.snapshot()
}

func (d *Delivery) snapshot() DeliveryState {
	out := d.state
	out.Events, out.Bytes = d.left(), d.bytes
	return out
}

func (d *Delivery) stream(name string) *deliveryStream {
	s := d.streams[name]
	if s == nil {
		s = &deliveryStream{account: detect.SinkLedger{Dropped: map[string]uint64{}}}
		d.streams[name] = s
	}
	return s
}

func (d *Delivery) takes(t detect.Type) bool {
	if d.cfg.Types == nil {
		return t != detect.Detections
	}
	return slices.Contains(d.cfg.Types, t)
}

// fits tells whether an event of size may join the queue. An empty queue takes any.
func (d *Delivery) fits(size int64) bool {
	return d.left() == 0 || d.bytes+size <= d.cfg.MaxBytes
}

// left is how many events wait, those in flight included.
func (d *Delivery) left() int { return len(d.flight) + len(d.queue) }

func (d *Delivery) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// wait releases the lock until something changes or ctx ends.
func (d *Delivery) wait(ctx context.Context) error {
	changed := d.changed
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// footprint estimates the memory an event holds, from above rather than below.
func footprint(ev *detect.Event) int64 {
	const base, perBox, perPoint, perString = 1024, 128, 24, 16
	d := &ev.Data
	n := base + len(ev.ID) + len(ev.Subject) + len(d.Stream.Title) + len(d.Changed)*perString
	for k, v := range d.Stream.Labels {
		n += len(k) + len(v) + 4*perString
	}
	if d.Objects != nil {
		n += len(*d.Objects) * perBox
	}
	if d.Object != nil {
		n += len(d.Object.Path)*perPoint + len(d.Object.Zones)*perString
	}
	if d.Counts != nil {
		n += len(*d.Counts) * perBox
	}
	if d.Reason != nil {
		n += len(d.Reason.Message)
	}
	if d.Accounting != nil {
		n += 4 * base
	}
	return int64(n)
}
