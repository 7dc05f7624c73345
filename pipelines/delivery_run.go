package pipelines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"sightline/detect"
	"sightline/sink"
)

const remindAfter = 5 * time.Minute // between log lines of a sink that keeps failing

// Run delivers until Drain was called and the queue is empty (nil), or ctx ends.
// What then still waits is accounted for as dropped, and the error says how much
// and why. It is called once.
func (d *Delivery) Run(ctx context.Context) error {
	for {
		batch, ok := d.next(ctx)
		if !ok {
			return d.abandon()
		}
		retry := d.settle(d.sink.Publish(ctx, batch))
		if retry && !d.pause(ctx) {
			return d.abandon()
		}
	}
}

// next moves the oldest events from the queue into flight.
func (d *Delivery) next(ctx context.Context) (batch []sink.Record, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) == 0 {
		if d.closed || d.wait(ctx) != nil {
			return nil, false
		}
	}
	if ctx.Err() != nil {
		return nil, false
	}
	n := min(d.cfg.MaxBatch, len(d.queue))
	d.flight = append(d.flight[:0], d.queue[:n]...)
	clear(d.queue[:n])
	d.queue = d.queue[n:]
	batch = make([]sink.Record, n)
	for i, w := range d.flight {
		batch[i] = w.record
	}
	return batch, true
}

// fate is what became of the events of one Publish.
type fate struct {
	acked  []*detect.Event
	oldest time.Time // when the first of acked was offered
	dead   int
	again  int
}

// settle ends a flight: what failed goes back to the head of the queue, in order.
// It reports whether Publish has to be tried again.
func (d *Delivery) settle(err error) (retry bool) {
	now := time.Now()
	d.mu.Lock()
	f := d.sort(err)
	if len(f.acked) > 0 {
		d.state.LastAck = now.Sub(f.oldest)
	}
	turned := d.judge(f, err, now)
	state := d.snapshot()
	d.signal()
	d.mu.Unlock()

	d.refused(f.dead, err, now)
	if len(f.acked) > 0 && d.cfg.OnAck != nil {
		d.cfg.OnAck(f.acked, now)
	}
	if turned && d.cfg.OnState != nil {
		d.cfg.OnState(state)
	}
	return f.again > 0
}

// refused logs a sum of events refused for good now and then. Run's goroutine.
func (d *Delivery) refused(n int, err error, now time.Time) {
	d.dead += n
	if n > 0 && now.Sub(d.deadLogged) >= remindAfter {
		d.log.Error("events refused for good", "events", d.dead, "error", err)
		d.dead, d.deadLogged = 0, now
	}
}

// sort accounts for the events in flight by what err says of each.
func (d *Delivery) sort(err error) (f fate) {
	var partial *sink.PartialError
	whole := err != nil && !errors.As(err, &partial)
	var keep []waiting
	for i, w := range d.flight {
		s := d.stream(w.record.Event.Stream)
		switch {
		case whole || partial != nil && slices.Contains(partial.Failed, i):
			keep = append(keep, w)
			continue
		case partial != nil && slices.Contains(partial.Refused, i):
			s.account.DeadLettered++
			f.dead++
		default:
			if len(f.acked) == 0 {
				f.oldest = w.offered
			}
			s.account.Acknowledged++
			f.acked = append(f.acked, w.record.Event)
		}
		s.waiting--
		d.bytes -= w.bytes
	}
	f.again = len(keep)
	d.queue = slices.Insert(d.queue, 0, keep...)
	clear(d.flight)
	d.flight = d.flight[:0]
	return f
}

// judge decides how the sink is doing and reports whether that has turned.
func (d *Delivery) judge(f fate, err error, now time.Time) (turned bool) {
	turned = d.state.Degraded != (f.again > 0)
	d.state.Degraded = f.again > 0
	if turned || d.state.Since.IsZero() {
		d.state.Since = now
	}
	if !d.state.Degraded {
		if turned {
			d.log.Info("delivering again", "waiting", d.left(), "attempts", d.state.Attempt)
		}
		d.state.Err, d.state.Attempt = nil, 0
		return turned
	}
	d.state.Err = err
	if d.state.Attempt++; len(f.acked) > 0 {
		d.state.Attempt = 1 // some get through: no reason to wait longer and longer
	}
	if turned || now.Sub(d.warned) >= remindAfter {
		d.warned = now
		d.log.Warn("not delivering: trying again", "error", err, "waiting", d.left(), "attempt", d.state.Attempt)
	}
	return turned
}

// pause waits before the next attempt; false when ctx ended.
func (d *Delivery) pause(ctx context.Context) bool {
	d.mu.Lock()
	delay := d.cfg.MaxBackoff
	if doublings := d.state.Attempt - 1; doublings < 30 {
		delay = min(delay, d.cfg.Backoff<<doublings)
	}
	d.mu.Unlock()
	timer := time.NewTimer(delay - rand.N(delay/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// abandon ends the delivery and accounts for what is left as dropped.
func (d *Delivery) abandon() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := len(d.queue)
	for _, w := range d.queue {
		s := d.stream(w.record.Event.Stream)
		s.waiting--
		s.account.Dropped["shutdown"]++
	}
	d.queue, d.bytes, d.closed = nil, 0, true
	d.signal()
	if left == 0 {
		return nil
	}
	if d.state.Err == nil {
		return fmt.Errorf("sink %s: %d events undelivered", d.cfg.Name, left)
	}
	return fmt.Errorf("sink %s: %d events undelivered: %w", d.cfg.Name, left, d.state.Err)
}

// Drain takes no more events and waits until Run has delivered those queued, or ctx
// ends; then the error says how many still wait, and ending Run's context gives
// them up.
func (d *Delivery) Drain(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.signal()
	for d.left() > 0 {
		if err := d.wait(ctx); err != nil {
			return fmt.Errorf("sink %s: %d events undelivered: %w", d.cfg.Name, d.left(), errors.Join(err, d.state.Err))
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
