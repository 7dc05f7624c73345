package pipelines

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
// called once, and closes the queue. What then still waits stays in the spool, or,
// without one, is accounted for as dropped; the error says how much is lost and why.
func (d *Delivery) Run(ctx context.Context) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	watched, committed := make(chan struct{}), make(chan struct{})
	go func() { defer close(watched); d.watch(beside) }()
	go func() { defer close(committed); d.commit(beside) }()
	d.deliver(ctx)
	d.shut()
	stop()
	<-watched
	return d.finish(committed)
}

// deliver is one Publish after the other.
func (d *Delivery) deliver(ctx context.Context) {
	defer d.dead.close()
	for ctx.Err() == nil {
		items, err := d.queue.Next(ctx, d.blame.batch(d.cfg.MaxBatch))
		if err != nil {
			return // the end of ctx, or of a queue that is closed
		}
		records := make([]sink.Record, len(items))
		for i, it := range items {
			records[i] = it.Record
		}
		if ingest.Pause(ctx, d.settle(ctx, items, d.sink.Publish(ctx, records))) != nil {
			return
		}
	}
}

// commit puts what was appended on disk: within the time allowed, or as soon as it
// fills a batch, in groups as large as that makes them. A disk that fails is tried
// again every second.
func (d *Delivery) commit(ctx context.Context) {
	if d.cfg.Spool.Path == "" {
		return
	}
	const again = time.Second
	var took time.Duration // of the last sync
	last := time.Now().Add(-d.cfg.Spool.Sync)
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			d.sync() // what came last
			return
		case <-retry:
		case <-d.queue.Dirty():
			until := last.Add(d.cfg.Spool.Sync - min(took, d.cfg.Spool.Sync/2))
			d.gather(ctx, time.Until(until))
		}
		last = time.Now()
		retry = nil
		if d.sync() != nil {
			retry = time.After(again)
		}
		took = time.Since(last)
	}
}

// gather waits for events to be put on disk together.
func (d *Delivery) gather(ctx context.Context, most time.Duration) {
	if most <= 0 {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.hurry:
	case <-ctx.Done():
	}
}

func (d *Delivery) sync() error {
	d.fresh.Store(0)
	mark := func(at time.Time) {
		d.mu.Lock()
		d.state.syncing = at
		d.mu.Unlock()
	}
	mark(time.Now())
	defer mark(time.Time{})
	return d.queue.Sync()
}

// backoff is how long to wait after so many failures in a row.
func (d *Delivery) backoff(failures int) time.Duration {
	delay := d.cfg.MaxBackoff
	if doublings := max(failures, 1) - 1; doublings < 30 {
		delay = min(delay, d.cfg.Backoff<<doublings)
	}
	return delay - rand.N(delay/2+1)
}

// shut takes no more events.
func (d *Delivery) shut() {
	d.mu.Lock()
	d.closed = true
	d.signal()
	d.mu.Unlock()
	d.queue.Close()
}

// Drain takes no more events and waits until Run has delivered those queued, or ctx
// ends; then the error says how many still wait, and ending Run's context gives
// them up, or leaves them in the spool. It does not wait for a destination that is
// away where the spool keeps them.
func (d *Delivery) Drain(ctx context.Context) error {
	d.shut()
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.waiting > 0 {
		_, away := d.state.troubles[unreachable]
		if away && d.cfg.Spool.Path != "" && d.state.fault == nil {
			return nil
		}
		if err := d.wait(ctx); err != nil {
			return fmt.Errorf("sink %s: %d events undelivered: %w", d.cfg.Name, d.waiting, errors.Join(err, d.state.troubles[unreachable].err))
		}
	}
	return nil
}

// Settle waits until nothing of the stream waits any more, or ctx ends.
func (d *Delivery) Settle(ctx context.Context, stream string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := d.stream(stream); s.waiting > 0 && !d.closed; {
		if d.wait(ctx) != nil {
			return
		}
	}
}

// finish closes the queue and accounts for what is lost with it.
func (d *Delivery) finish(committed <-chan struct{}) error {
	select {
	case <-committed:
	case <-time.After(hungAfter):
		d.mu.Lock()
		d.released = true // whatever still holds it
		d.mu.Unlock()
		return fmt.Errorf("sink %s: the disk of %s does not answer: %d events may be lost", d.cfg.Name, d.cfg.Spool.Path, d.State().Unsynced)
	}
	gone, err := d.release()
	if err != nil {
		err = fmt.Errorf("close the spool: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var lost uint64
	for stream, n := range gone {
		d.leave(stream, n).Dropped["shutdown"] += n
		lost += n
	}
	d.signal()
	if d.waiting > 0 {
		d.log.Warn("events wait in the spool for the next run", "events", d.waiting, "path", d.cfg.Spool.Path)
	}
	if lost == 0 {
		if err != nil { // every event is accounted for; some may come again
			d.log.Error("the disk did not keep what became of the last events: the next run may repeat some", "path", d.cfg.Spool.Path, "error", err)
		}
		return nil
	}
	why := errors.Join(d.state.troubles[unreachable].err, d.state.fault, err)
	if why == nil {
		return fmt.Errorf("sink %s: %d events undelivered", d.cfg.Name, lost)
	}
	return fmt.Errorf("sink %s: %d events undelivered: %w", d.cfg.Name, lost, why)
}

// Close gives the spool back where Run was never called; after it, it does nothing.
func (d *Delivery) Close() error {
	d.shut()
	_, err := d.release()
	return err
}

func (d *Delivery) release() (lost map[string]uint64, err error) {
	d.mu.Lock()
	done := d.released
	d.released = true
	d.mu.Unlock()
	if done {
		return nil, nil
	}
	return d.queue.Release()
}
