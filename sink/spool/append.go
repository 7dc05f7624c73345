package spool

import (
	"context"
	"fmt"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/journal"
)

// Append numbers the event within its route and queues it, from any goroutine. It
// waits only where the policy is Block and the queue full, until ctx ends, or where
// Sync is 0, until the record is on disk or the disk has failed. An error means
// that the event was not queued: ctx ended, ErrClosed, or it cannot be encoded.
// What is given up to make room, the event itself where nothing else can, is told
// to Gone and is no error. ev must not change any more.
func (q *Queue) Append(ctx context.Context, ev *detect.Event, to sink.Route) error {
	name := to
	if name.Key == "" {
		name.Key = ev.PartitionKey()
	}
	q.mu.Lock()
	r := q.route(name)
	r.pins++
	q.mu.Unlock()
	h, err := q.appendIn(ctx, r, ev, to)
	q.mu.Lock()
	r.pins--
	q.vacate(r)
	q.mu.Unlock()
	if err != nil {
		return fmt.Errorf("queue event %s: %w", ev.ID, err)
	}
	if h != nil && q.disk != nil && q.cfg.Sync == 0 {
		q.commit(h)
	}
	return nil
}

// appendIn is Append once the route is known. The record is nil when it was given up.
func (q *Queue) appendIn(ctx context.Context, r *route, ev *detect.Event, to sink.Route) (*held, error) {
	select {
	case r.turn <- struct{}{}:
	default:
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for room: %w", ctx.Err())
		}
	}
	defer func() { <-r.turn }()
	h := &held{route: r, record: sink.Record{Event: ev, Route: to, Sequence: r.number(ev)}, offered: q.cfg.Now()}
	h.cost = footprint(ev, to)
	size := h.cost
	if q.disk != nil {
		if err := q.encode(h); err != nil {
			return nil, err
		}
		if len(h.body) > journal.MaxEntry {
			return nil, fmt.Errorf("%d bytes are too many: at most %d", len(h.body), journal.MaxEntry)
		}
		size = int64(len(h.body)) + entryOverhead
		h.cost += size
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.cfg.WhenFull == Block && !q.closed && !q.fits(size, h.cost) {
		if err := q.waitForRoom(ctx); err != nil {
			return nil, fmt.Errorf("wait for room: %w", err)
		}
	}
	if q.closed {
		return nil, ErrClosed
	}
	r.last = h.record.Sequence
	level := q.level(ev.Severity)
	q.expire(h.offered, expireAtOnce)
	if !q.makeRoom(size, h.cost, level) {
		q.giveUp(q.intern(ev.Stream), QueueFull)
		return nil, nil
	}
	h.level = level
	q.put(h, size)
	return h, nil
}

// encode makes the record's bytes.
func (q *Queue) encode(h *held) error {
	scratch, ok := q.scratch.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	var err error
	*scratch, err = h.encode(*scratch)
	q.scratch.Put(scratch)
	return err
}

// put queues a record. Locked.
func (q *Queue) put(h *held, size int64) {
	r := h.route
	q.order++
	in := &r.lanes[h.level]
	h.owner = in.push(entry{
		index: unsafeIndex | q.order, sequence: h.record.Sequence, held: h,
		offered: seconds(h.offered), size: uint32(size), stream: q.intern(h.record.Event.Stream),
	})
	q.oldest[h.level].place(in)
	if r.count++; r.count == 1 {
		q.keys++
		q.occupy(r)
	}
	q.events++
	q.bytes += size
	if q.disk != nil {
		q.pend(h)
	}
	q.enlist(r, h.offered)
}

// waitForRoom releases the lock until something left the queue or ctx ends.
func (q *Queue) waitForRoom(ctx context.Context) error {
	if q.room == nil {
		q.room = make(chan struct{})
	}
	room := q.room
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func seconds(t time.Time) uint32 { return uint32(max(t.Unix(), 0)) }
