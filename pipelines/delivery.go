package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/spool"
)

// DeliveryConfig says how events reach one sink.
type DeliveryConfig struct {
	Name       string        // of the sink, in logs and errors
	Types      []detect.Type // what it takes; nil: all but detections
	MaxBatch   int           // most events in one Publish; 0: 500
	Spool      spool.Config  // where events wait; Gone and Fault are the delivery's own
	DeadLetter DeadLetterConfig
	Backoff    time.Duration // pause after the first failure, doubled after each next one; 0: 200 ms
	// MaxBackoff is the longest pause; 0: 10 s. Pauses are shortened at random by
	// up to a half, so that many instances do not return at once.
	MaxBackoff time.Duration

	// OnState is told when something begins to fail or works again, and of dead
	// letters. One call at a time, by the delivery's goroutines.
	OnState func(DeliveryState)
	// OnAck is told of accepted events and when that was known, by Run's goroutine.
	// Both are waited for and must not call Drain. What was read back from disk
	// lacks its Data.
	OnAck func(events []*detect.Event, at time.Time)
}

// Delivery is one sink's queue and its delivery loop: what is taken, where it goes,
// how often it is tried, and what became of it. Offer may be called from many
// goroutines; events of one stream must come from one at a time.
type Delivery struct {
	cfg   DeliveryConfig
	sink  sink.Sink
	route func(*detect.Event) sink.Route
	queue *spool.Queue
	dead  *deadLetters // the delivering goroutine's
	blame *blame       // the delivering goroutine's
	told  letterCount  // the delivering goroutine's
	log   *slog.Logger

	fresh atomic.Int64  // events appended since the last sync began
	hurry chan struct{} // they fill a batch: the committing goroutine need not wait longer

	telling sync.Mutex    // one OnState at a time; taken before mu
	look    chan struct{} // the watching goroutine has something to see

	mu               sync.Mutex // of what follows; nothing of the queue is called with it
	closed, released bool

	streams map[string]*deliveryStream
	waiting uint64 // of all streams
	state   health
	changed chan struct{} // closed and replaced at each change
}

// deliveryStream is the account of one stream.
type deliveryStream struct {
	account detect.SinkLedger // Spooled is filled in on demand
	waiting uint64
}

// NewDelivery makes a delivery to s, which stays the caller's to close after Run
// has returned. It opens the spool and takes over what an earlier run left there.
// Who does not call Run calls Close.
func NewDelivery(cfg DeliveryConfig, s sink.Sink, log *slog.Logger) (*Delivery, error) {
	setDefault(&cfg.MaxBatch, 500)
	setDefault(&cfg.Backoff, 200*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 10*time.Second)
	setDefault(&cfg.DeadLetter.Max, 64<<20)
	log = log.With("sink", cfg.Name)
	d := &Delivery{
		cfg: cfg, sink: s, log: log, route: func(*detect.Event) sink.Route { return sink.Route{} },
		dead: &deadLetters{cfg: cfg.DeadLetter, log: log}, blame: newBlame(cfg.DeadLetter.Tries),
		streams: map[string]*deliveryStream{}, changed: make(chan struct{}), look: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	if r, ok := s.(sink.Router); ok {
		d.route = r.Route
	}
	d.cfg.Spool.Gone, d.cfg.Spool.Fault = d.gone, d.fault
	var err error
	if d.queue, err = spool.Open(d.cfg.Spool, log); err != nil {
		return nil, fmt.Errorf("open the spool: %w%s", err, remedy(err))
	}
	d.recover()
	return d, nil
}

func setDefault[T ~int | ~int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// recover accounts for what an earlier run left behind, as far as it is known: a
// disk that could not be read at the start may be read later.
func (d *Delivery) recover() {
	found := d.queue.Stats().Recovered
	delete(found, "") // told to gone
	d.mu.Lock()
	defer d.mu.Unlock()
	var all uint64
	for name, n := range found {
		more := n - min(n, d.stream(name).account.Recovered)
		d.found(name, more)
		all += more
	}
	if all > 0 {
		d.log.Info("events of an earlier run wait in the spool", "events", all, "path", d.cfg.Spool.Path)
	}
}

// found accounts for n events of an earlier run. Locked.
func (d *Delivery) found(stream string, n uint64) {
	s := d.stream(stream)
	s.account.Made += n
	s.account.Recovered += n
	s.waiting += n
	d.waiting += n
}

// Offer queues the event, unless the sink does not take its type. When the queue is
// full others make room, as its policy says, or, with block, Offer waits for room
// until ctx ends. It fails only then and after Drain; what it did not queue is
// accounted for as dropped. Nothing but a full queue with block keeps it waiting,
// least of all a disk. ev must not change any more.
func (d *Delivery) Offer(ctx context.Context, ev *detect.Event) error {
	d.mu.Lock()
	s := d.stream(ev.Stream)
	s.account.Made++
	switch {
	case !d.takes(ev.Type):
		s.account.Filtered++
		d.mu.Unlock()
		return nil
	case d.closed:
		s.account.Dropped["closed"]++
		d.mu.Unlock()
		return fmt.Errorf("sink %s: offered after the end", d.cfg.Name)
	}
	s.waiting++ // before the queue has it: it may be delivered before Append returns
	d.waiting++
	d.mu.Unlock()
	err := d.queue.Append(ctx, ev, d.route(ev))
	if err == nil {
		if d.fresh.Add(1) == int64(d.cfg.MaxBatch) {
			poke(d.hurry)
		}
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	reason := "invalid"
	switch {
	case ctx.Err() != nil:
		reason = "canceled"
	case d.closed:
		reason = "closed"
	}
	d.leave(ev.Stream, 1).Dropped[reason]++
	d.signal()
	return fmt.Errorf("sink %s: %w", d.cfg.Name, err)
}

// leave takes n of a stream's events out of those waiting, for another column of
// the account that it returns. What was never known to wait is of an earlier run.
// Locked.
func (d *Delivery) leave(stream string, n uint64) *detect.SinkLedger {
	s := d.stream(stream)
	d.found(stream, n-min(n, s.waiting))
	s.waiting -= n
	d.waiting -= n
	return &s.account
}

// gone is told by the queue what it gave up. It has the queue's lock.
func (d *Delivery) gone(stream, reason string, n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if stream == "" { // what is damaged does not tell
		stream = ownStream
	}
	account := d.leave(stream, n)
	d.signal()
	if reason == spool.Expired {
		account.Expired += n
		return
	}
	account.Dropped[reason] += n
	if reason == spool.QueueFull {
		d.state.dropped += n
		poke(d.look)
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
	return s.ledger()
}

// Ledgers is the account of every stream that the delivery ever heard of.
func (d *Delivery) Ledgers() map[string]detect.SinkLedger {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]detect.SinkLedger, len(d.streams))
	for name, s := range d.streams {
		out[name] = s.ledger()
	}
	return out
}

func (s *deliveryStream) ledger() detect.SinkLedger {
	out := s.account
	out.Spooled, out.Dropped = s.waiting, maps.Clone(s.account.Dropped)
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
	if taker, ok := d.sink.(sink.Taker); ok && !taker.Takes(t) {
		return false
	}
	if d.cfg.Types == nil {
		return t != detect.Detections
	}
	return slices.Contains(d.cfg.Types, t)
}

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
