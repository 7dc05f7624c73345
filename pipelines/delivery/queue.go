// Package delivery brings events to sinks: it decides what a sink takes, has events
// wait in memory or in a spool on disk, publishes them in batches, tries again for as
// long as it takes, tells a destination that is away from an event that it will never
// take, and accounts for each of them. It reads no YAML and knows no kind of sink.
//
// Events enter with Queue.Offer; Queue.Run starts the goroutines that deliver, commit
// to disk and watch, and waits for them.
package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/spool"
)

// Config says how events reach one sink.
type Config struct {
	Name     string        // of the sink, in logs and errors
	Types    []detect.Type // what it takes; nil: all but detections
	MaxBatch int           // most events in one Publish; 0: 500
	Spool    spool.Config  // where events wait; Gone and Fault are the queue's own
	Letters  Letters       // what becomes of events that the destination will never take
	Backoff  time.Duration // pause after the first failure, doubled after each next one; 0: 200 ms
	// MaxBackoff is the longest pause; 0: 10 s. Pauses are shortened at random by
	// up to a half, so that many instances do not return at once.
	MaxBackoff time.Duration

	// OnState is told when something begins to fail or works again, and of dead
	// letters. One call at a time, by the queue's goroutines.
	OnState func(State)
	// OnAck is told of accepted events and when that was known, by Run's goroutine.
	// Both are waited for and must not call Drain. What was read back from disk
	// lacks its Data.
	OnAck func(events []*detect.Event, at time.Time)
}

// Queue is what waits for one sink, and the loop that delivers it: what is taken,
// where it goes, how often it is tried, and what became of it. Offer may be called
// from many goroutines; events of one stream must come from one at a time.
type Queue struct {
	cfg   Config
	sink  sink.Sink
	route func(*detect.Event) sink.Route
	spool *spool.Queue
	dead  *letterFile // the delivering goroutine's
	blame *blame      // the delivering goroutine's
	told  letterCount // the delivering goroutine's
	log   *slog.Logger

	fresh atomic.Int64  // events appended since the last sync began
	hurry chan struct{} // they fill a batch: the committing goroutine need not wait longer

	telling sync.Mutex    // one OnState at a time; taken before mu
	look    chan struct{} // the watching goroutine has something to see

	mu               sync.Mutex // of what follows; nothing of the spool is called with it
	closed, released bool

	accounts accounts
	state    health
	changed  chan struct{} // closed and replaced at each change
}

// New makes the queue of s, which stays the caller's to close after Run has returned.
// It opens the spool and takes over what an earlier run left there. Who does not call
// Run calls Close.
func New(cfg Config, s sink.Sink, log *slog.Logger) (*Queue, error) {
	setDefault(&cfg.MaxBatch, 500)
	setDefault(&cfg.Backoff, 200*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 10*time.Second)
	setDefault(&cfg.Letters.Max, 64<<20)
	log = log.With("sink", cfg.Name)
	q := &Queue{
		cfg: cfg, sink: s, log: log, route: func(*detect.Event) sink.Route { return sink.Route{} },
		dead: &letterFile{cfg: cfg.Letters, log: log}, blame: newBlame(cfg.Letters.Tries),
		changed: make(chan struct{}), look: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	if r, ok := s.(sink.Router); ok {
		q.route = r.Route
	}
	q.cfg.Spool.Gone, q.cfg.Spool.Fault = q.gone, q.fault
	var err error
	if q.spool, err = spool.Open(q.cfg.Spool, log); err != nil {
		return nil, fmt.Errorf("open the spool: %w%s", err, remedy(err))
	}
	q.recover()
	return q, nil
}

func setDefault[T ~int | ~int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Offer queues the event, unless the sink does not take its type. When the queue is
// full others make room, as its policy says, or, with block, Offer waits for room
// until ctx ends. It fails only then and after Drain; what it did not queue is
// accounted for as dropped. Nothing but a full queue with block keeps it waiting,
// least of all a disk. ev must not change any more.
func (q *Queue) Offer(ctx context.Context, ev *detect.Event) error {
	q.mu.Lock()
	a := q.accounts.of(ev.Stream)
	a.Made++
	switch {
	case !q.takes(ev.Type):
		a.Filtered++
		q.mu.Unlock()
		return nil
	case q.closed:
		a.Dropped["closed"]++
		q.mu.Unlock()
		return fmt.Errorf("sink %s: offered after the end", q.cfg.Name)
	}
	q.accounts.enter(a, 1) // before the spool has it: it may be delivered before Append returns
	q.mu.Unlock()
	err := q.spool.Append(ctx, ev, q.route(ev))
	if err == nil {
		if q.fresh.Add(1) == int64(q.cfg.MaxBatch) {
			poke(q.hurry)
		}
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	reason := "invalid"
	switch {
	case ctx.Err() != nil:
		reason = "canceled"
	case q.closed:
		reason = "closed"
	}
	q.accounts.leave(ev.Stream, 1).Dropped[reason]++
	q.signal()
	return fmt.Errorf("sink %s: %w", q.cfg.Name, err)
}

func (q *Queue) takes(t detect.Type) bool {
	if taker, ok := q.sink.(sink.Taker); ok && !taker.Takes(t) {
		return false
	}
	if q.cfg.Types == nil {
		return t != detect.Detections
	}
	return slices.Contains(q.cfg.Types, t)
}

func (q *Queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// wait releases the lock until something changes or ctx ends.
func (q *Queue) wait(ctx context.Context) error {
	changed := q.changed
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
