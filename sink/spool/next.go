package spool

import (
	"container/heap"
	"context"
	"io"
	"time"

	"sightline/sink"
)

// Item is a record handed out for delivery.
type Item struct {
	sink.Record
	Offered time.Time // when it was appended
	Tries   int       // how often it was settled as Again, in this process

	route *route
	level int
	entry entry
	done  bool // settled
}

// Next waits for records that may leave, those on disk where there is one that
// works, and hands out at most max of them: a fair share of each route that has
// some, in order per route, and none of a route with records in flight. They are
// in flight until settled. It fails with io.EOF once the queue is closed and empty,
// and when ctx ends.
func (q *Queue) Next(ctx context.Context, max int) ([]*Item, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		items, pause, err := q.try(max)
		if len(items) > 0 || err != nil {
			return items, err
		}
		var timer *time.Timer
		var elapsed <-chan time.Time
		if pause > 0 {
			timer = time.NewTimer(pause)
			elapsed = timer.C
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-elapsed:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// try is Next without waiting. pause says when to look again at the latest; 0: not
// before something happens.
func (q *Queue) try(max int) (items []*Item, pause time.Duration, err error) {
	now := q.cfg.Now()
	q.mu.Lock()
	items = q.take(now, max)
	if len(q.later) > 0 {
		pause = q.later[0].until.Sub(now)
	}
	if q.ended || q.closed && q.events == 0 {
		err = io.EOF
	}
	q.mu.Unlock()
	if len(items) == 0 || q.disk == nil {
		return items, pause, err
	}
	if items = q.load(items); len(items) == 0 {
		pause = time.Nanosecond // all were unreadable: look again
	}
	return items, pause, nil
}

// take moves records into flight. Locked.
func (q *Queue) take(now time.Time, most int) []*Item {
	if q.ended {
		return nil
	}
	q.expire(now, expireAtOnce)
	for len(q.later) > 0 && !now.Before(q.later[0].until) {
		q.enlist(heap.Pop(&q.later).(*route), now)
	}
	var routes []*route
	for len(q.ready) > 0 && len(routes) < most {
		r := q.ready[0]
		q.ready[0] = nil
		q.ready = q.ready[1:]
		r.listed = false
		if _, e := r.head(); e != nil && q.available(e) && !now.Before(r.until) && len(r.flight) == 0 {
			routes = append(routes, r)
		}
	}
	if len(routes) == 0 {
		return nil
	}
	items := make([]*Item, 0, most)
	share := max(1, most/len(routes))
	for _, r := range routes {
		items = q.takeFrom(r, now, items, share)
	}
	for _, r := range routes { // what others did not use
		items = q.takeFrom(r, now, items, most-len(items))
	}
	for _, r := range routes {
		if len(r.flight) == 0 { // all expired
			q.enlist(r, now)
		}
	}
	return items
}

// takeFrom moves at most n records of a route into flight. Locked.
func (q *Queue) takeFrom(r *route, now time.Time, items []*Item, n int) []*Item {
	for n > 0 {
		in, e := r.head()
		if e == nil || !q.available(e) {
			break
		}
		if q.expired(e, now) {
			q.drop(in, Expired)
			continue
		}
		it := &Item{route: r, level: in.level, entry: in.pop()}
		it.Offered, it.Tries = time.Unix(int64(it.entry.offered), 0), int(it.entry.tries)
		q.oldest[in.level].place(in)
		if h := it.entry.held; h != nil {
			it.Record, it.Offered = h.record, h.offered
			h.owner, h.item = nil, it
			q.unlink(h)
		}
		if q.disk != nil && !it.entry.safe() {
			r.firm = max(r.firm, it.entry.sequence)
		}
		r.flight = append(r.flight, it)
		items = append(items, it)
		n--
	}
	if len(r.flight) > 0 {
		q.flying[r] = struct{}{}
	}
	return items
}
