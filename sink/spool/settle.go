package spool

import (
	"slices"
	"time"
)

// Fate is what became of a record handed out.
type Fate uint8

// Fates.
const (
	Again Fate = iota // goes back to the head of its route, in order
	Done              // the destination has it
	Dead              // the destination will never take it, and the caller has put it elsewhere
)

// Settle ends the flight of items: fates[i] is what became of items[i]. A route
// with records to be tried again is held back for hold, and others go on. Items of
// one Next may be settled in several calls; until the last of a route is settled
// none of that route is handed out.
func (q *Queue) Settle(items []*Item, fates []Fate, hold time.Duration) {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	var touched []*route
	for i, it := range slices.Backward(items) { // so that each goes to the head
		if it.done {
			continue
		}
		it.done = true
		r := it.route
		touched = touch(touched, r)
		if fates[i] == Again {
			it.entry.tries = uint16(min(int(it.entry.tries)+1, 1<<16-1))
			q.putBack(it)
			r.until = now.Add(hold)
		} else {
			q.leave(r, &it.entry)
		}
	}
	for _, r := range touched {
		r.touched = false
		q.landed(r, now)
	}
}

// touch adds r to routes once.
func touch(routes []*route, r *route) []*route {
	if !r.touched {
		r.touched = true
		routes = append(routes, r)
	}
	return routes
}

// landed takes what is settled out of a route's flight. Locked.
func (q *Queue) landed(r *route, now time.Time) {
	r.flight = slices.DeleteFunc(r.flight, func(it *Item) bool { return it.done })
	if len(r.flight) == 0 {
		r.flight = nil // not lost: it is empty
		delete(q.flying, r)
	}
	q.enlist(r, now)
}

// putBack returns a record to its place in its lane, which is the head but for
// those of the same flight settled before. Locked.
func (q *Queue) putBack(it *Item) {
	in := &it.route.lanes[it.level]
	var before []entry
	for e := in.head(); e != nil && it.route.ahead(e, &it.entry); e = in.head() {
		before = append(before, in.pop())
	}
	at := in.pushFront(it.entry)
	if h := at.held; h != nil {
		h.owner, h.item = at, nil
		q.link(h)
		if q.disk != nil {
			q.disk.passed[it.level] = 0
		}
	}
	for _, e := range slices.Backward(before) {
		if at := in.pushFront(e); at.held != nil {
			at.held.owner = at
		}
	}
	q.oldest[in.level].place(in)
}
