package spool

import (
	"container/heap"
	"container/list"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// maxIdle is how many keys without waiting records are remembered, so that their
// numbers continue: beyond it, the least recently used begin again at 1.
const maxIdle = 65536

// route is one topic and key: its numbers, and what waits there.
type route struct {
	name  sink.Route    // its Key is never empty
	turn  chan struct{} // taken by who numbers a record
	last  uint64        // the last number given
	lanes []lane        // by level
	count int           // waiting, those in flight included

	flight []*Item   // handed out and not settled
	until  time.Time // held back till then
	later  int       // position in the heap of those held back; -1: not there
	listed bool      // in Queue.ready

	touched bool // in the list of those that the call at work has changed

	pins int           // users that have it without the queue's lock
	idle *list.Element // while nothing waits

	// In memory alone the numbers begin again with each epoch of the route's stream,
	// because nothing remembers them over a restart. Where several streams share a
	// key they cannot.
	restarts      bool
	stream, epoch string
	shared        bool

	firm    uint64   // the highest number that must not be given to another event
	noted   uint64   // index of an entry in the journal that tells of firm
	dirty   bool     // in Queue.dirty: the journal has to be told of what is settled
	settled []uint64 // since the journal was told, those on disk
	unread  int      // how often in a row its head could not be read
}

func newRoute(name sink.Route, levels int) *route {
	r := &route{name: name, turn: make(chan struct{}, 1), lanes: make([]lane, levels), later: -1}
	for level := range r.lanes {
		r.lanes[level] = lane{route: r, level: level, pos: -1}
	}
	return r
}

// route finds the route of an event or makes it. Locked.
func (q *Queue) route(name sink.Route) *route {
	r := q.routes[name]
	if r == nil {
		r = newRoute(name, len(q.oldest))
		r.restarts, r.last = q.disk == nil, q.base
		q.routes[name] = r
	}
	return r
}

// occupy takes the route from among those idle. Locked.
func (q *Queue) occupy(r *route) {
	if r.idle != nil {
		q.idle.Remove(r.idle)
		r.idle = nil
	}
}

// vacate puts the route among those idle if nothing waits there. Locked.
func (q *Queue) vacate(r *route) {
	if r.count == 0 && r.idle == nil {
		r.idle = q.idle.PushFront(r)
		q.forget()
	}
}

// forget gives up the numbers of the least recently used keys. Locked.
func (q *Queue) forget() {
	for q.idle.Len() > q.maxIdle {
		r := q.idle.Back().Value.(*route)
		if r.pins > 0 || r.dirty {
			return
		}
		q.idle.Remove(r.idle)
		delete(q.routes, r.name)
		if r.firm > 0 {
			q.disk.forgotten = append(q.disk.forgotten, r.name)
			signal(q.dirty)
		}
	}
}

// number is what the event will be called; nothing is given yet. The caller has
// the route's turn.
func (r *route) number(ev *detect.Event) uint64 {
	if !r.restarts {
		return r.last + 1
	}
	if r.stream == "" {
		r.stream = ev.Stream
	}
	r.shared = r.shared || r.stream != ev.Stream
	if epoch := ev.Data.Stream.Epoch; epoch != "" && epoch != r.epoch {
		r.epoch = epoch
		if !r.shared {
			return 1
		}
	}
	return r.last + 1
}

// ahead tells which of two entries of the route comes first: by number, or, where
// numbers begin again, by arrival.
func (r *route) ahead(a, b *entry) bool {
	if r.restarts {
		return a.index < b.index
	}
	return a.sequence < b.sequence
}

// head is the waiting entry that comes first, and its lane.
func (r *route) head() (*lane, *entry) {
	var in *lane
	var first *entry
	for i := range r.lanes {
		if e := r.lanes[i].head(); e != nil && (first == nil || r.ahead(e, first)) {
			in, first = &r.lanes[i], e
		}
	}
	return in, first
}

// laterHeap has the route on top that is held back for the shortest time.
type laterHeap []*route

func (h laterHeap) Len() int           { return len(h) }
func (h laterHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h laterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].later, h[j].later = i, j
}

func (h *laterHeap) Push(x any) {
	r := x.(*route)
	r.later = len(*h)
	*h = append(*h, r)
}

func (h *laterHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	r.later = -1
	return r
}

// enlist offers the route to Next when it has something to hand out. Locked.
func (q *Queue) enlist(r *route, now time.Time) {
	if r.listed || len(r.flight) > 0 {
		return
	}
	if now.Before(r.until) {
		if r.later < 0 {
			heap.Push(&q.later, r)
			q.wakeNext() // for an earlier end of its pause
		}
		return
	}
	if _, e := r.head(); e != nil && q.available(e) {
		r.listed = true
		q.ready = append(q.ready, r)
		q.wakeNext()
	}
}

// available tells whether a record may leave: not before it is on disk, unless the
// disk fails. Locked.
func (q *Queue) available(e *entry) bool { return q.disk == nil || q.err != nil || e.safe() }
