package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"sightline/ingest"
	"sightline/sink"
)

// Run delivers until Drain was called and the queue is empty, or ctx ends. It is
// called once, and closes the spool. What then still waits stays in the spool, or,
// without one, is accounted for as dropped; the error says how much is lost and why.
func (q *Queue) Run(ctx context.Context) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	watched, committed := make(chan struct{}), make(chan struct{})
	go func() { defer close(watched); q.watch(beside) }()
	go func() { defer close(committed); q.commit(beside) }()
	q.deliver(ctx)
	q.shut()
	stop()
	<-watched
	return q.finish(committed)
}

// deliver is one Publish after the other.
func (q *Queue) deliver(ctx context.Context) {
	defer q.dead.close()
	for ctx.Err() == nil {
		items, err := q.spool.Next(ctx, q.blame.batch(q.cfg.MaxBatch))
		if err != nil {
			return // the end of ctx, or of a spool that is closed
		}
		records := make([]sink.Record, len(items))
		for i, it := range items {
			records[i] = it.Record
		}
		if ingest.Pause(ctx, q.conclude(ctx, items, q.sink.Publish(ctx, records))) != nil {
			return
		}
	}
}

// commit puts what was appended on disk: within the time allowed, or as soon as it
// fills a batch, in groups as large as that makes them. A disk that fails is tried
// again every second.
func (q *Queue) commit(ctx context.Context) {
	if q.cfg.Spool.Path == "" {
		return
	}
	const again = time.Second
	var took time.Duration // of the last sync
	last := time.Now().Add(-q.cfg.Spool.Sync)
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			q.sync() // what came last
			return
		case <-retry:
		case <-q.spool.Dirty():
			until := last.Add(q.cfg.Spool.Sync - min(took, q.cfg.Spool.Sync/2))
			q.gather(ctx, time.Until(until))
		}
		last = time.Now()
		retry = nil
		if q.sync() != nil {
			retry = time.After(again)
		}
		took = time.Since(last)
	}
}

// gather waits for events to be put on disk together.
func (q *Queue) gather(ctx context.Context, most time.Duration) {
	if most <= 0 {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.hurry:
	case <-ctx.Done():
	}
}

func (q *Queue) sync() error {
	q.fresh.Store(0)
	mark := func(at time.Time) {
		q.mu.Lock()
		q.state.syncing = at
		q.mu.Unlock()
	}
	mark(time.Now())
	defer mark(time.Time{})
	return q.spool.Sync()
}

// backoff is how long to wait after so many failures in a row.
func (q *Queue) backoff(failures int) time.Duration {
	delay := q.cfg.MaxBackoff
	if doublings := max(failures, 1) - 1; doublings < 30 {
		delay = min(delay, q.cfg.Backoff<<doublings)
	}
	return delay - rand.N(delay/2+1)
}

// shut takes no more events.
func (q *Queue) shut() {
	q.mu.Lock()
	q.closed = true
	q.signal()
	q.mu.Unlock()
	q.spool.Close()
}

// Drain takes no more events and waits until Run has delivered those queued, or ctx
// ends; then the error says how many still wait, and ending Run's context gives
// them up, or leaves them in the spool. It does not wait for a destination that is
// away where the spool keeps them.
func (q *Queue) Drain(ctx context.Context) error {
	q.shut()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.accounts.waiting > 0 {
		_, away := q.state.troubles[Unreachable]
		if away && q.cfg.Spool.Path != "" && q.state.fault == nil {
			return nil
		}
		if err := q.wait(ctx); err != nil {
			return fmt.Errorf("sink %s: %d events undelivered: %w", q.cfg.Name, q.accounts.waiting, errors.Join(err, q.state.troubles[Unreachable].err))
		}
	}
	return nil
}

// Settle waits until nothing of the stream waits any more, or ctx ends.
func (q *Queue) Settle(ctx context.Context, stream string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for a := q.accounts.of(stream); a.waiting > 0 && !q.closed; {
		if q.wait(ctx) != nil {
			return
		}
	}
}

// finish closes the queue and accounts for what is lost with it.
func (q *Queue) finish(committed <-chan struct{}) error {
	select {
	case <-committed:
	case <-time.After(hungAfter):
		q.mu.Lock()
		q.released = true // whatever still holds it
		q.mu.Unlock()
		return fmt.Errorf("sink %s: the disk of %s does not answer: %d events may be lost", q.cfg.Name, q.cfg.Spool.Path, q.State().Unsynced)
	}
	gone, err := q.release()
	if err != nil {
		err = fmt.Errorf("close the spool: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var lost uint64
	for stream, n := range gone {
		q.accounts.leave(stream, n).Dropped["shutdown"] += n
		lost += n
	}
	q.signal()
	if q.accounts.waiting > 0 {
		q.log.Warn("events wait in the spool for the next run", "events", q.accounts.waiting, "path", q.cfg.Spool.Path)
	}
	if lost == 0 {
		if err != nil { // every event is accounted for; some may come again
			q.log.Error("the disk did not keep what became of the last events: the next run may repeat some", "path", q.cfg.Spool.Path, "error", err)
		}
		return nil
	}
	why := errors.Join(q.state.troubles[Unreachable].err, q.state.fault, err)
	if why == nil {
		return fmt.Errorf("sink %s: %d events undelivered", q.cfg.Name, lost)
	}
	return fmt.Errorf("sink %s: %d events undelivered: %w", q.cfg.Name, lost, why)
}

// Close gives the spool back where Run was never called; after it, it does nothing.
func (q *Queue) Close() error {
	q.shut()
	_, err := q.release()
	return err
}

func (q *Queue) release() (lost map[string]uint64, err error) {
	q.mu.Lock()
	done := q.released
	q.released = true
	q.mu.Unlock()
	if done {
		return nil, nil
	}
	return q.spool.Release()
}
