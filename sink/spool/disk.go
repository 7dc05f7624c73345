package spool

import (
	"sync/atomic"
	"time"

	"sightline/sink"
	"sightline/sink/journal"
)

// disk is the part of a queue that is on disk. What it has in memory is guarded by
// the queue's lock, the journal is not: no lock is held while the disk works.
type disk struct {
	journal *journal.Journal
	segment int64
	turn    chan struct{} // taken by who writes

	pending []*held // not on disk, in order of arrival; some settled meanwhile
	count   int     // of pending, those not settled
	unsafe  int64   // cost of those
	passed  []int   // by level: pending before are no candidates to be given up

	first, last *held // in memory and on disk, the oldest first
	resident    int64 // cost of those

	dirty     []*route // of which the journal has to be told
	forgotten []sink.Route

	bytes atomic.Int64 // of the journal's files: it may be busy for as long as the disk is

	bits    int      // 1<<bits neighboring entries of the journal make a stripe
	base    uint64   // number of the first stripe
	stripes []stripe // from base on
	live    int64    // bytes of waiting records on disk
	dead    int64    // bytes before base, not yet released
	written int64    // bytes since the numbers of idle routes were written anew
	fresh   uint64   // index that all those are told of behind

	retry  time.Time // not before then after a failure
	unread error     // why the last records wanted could not be read
}

type stripe struct {
	live  int32 // waiting records
	bytes int64
}

// measure notes how large the files are.
func (d *disk) measure() {
	if d.journal != nil {
		d.bytes.Store(d.journal.Stats().Bytes)
	}
}

// wrote counts an entry of the journal. Locked.
func (d *disk) wrote(index uint64, bytes int64) {
	if len(d.stripes) == 0 && d.base == 0 {
		d.base = index >> d.bits
	}
	for uint64(len(d.stripes)) <= index>>d.bits-d.base {
		d.stripes = append(d.stripes, stripe{})
	}
	s := &d.stripes[index>>d.bits-d.base]
	s.bytes += bytes + entryOverhead
	d.written += bytes + entryOverhead
}

// lives counts a waiting record that is on disk. Locked.
func (d *disk) lives(index uint64, size uint32) {
	d.stripes[index>>d.bits-d.base].live++
	d.live += int64(size)
}

// dies is its opposite. Locked.
func (d *disk) dies(index uint64, size uint32) {
	d.live -= int64(size)
	if n := index >> d.bits; n >= d.base { // else it was found unreadable before
		d.stripes[n-d.base].live--
	}
}

// sweep passes over stripes where nothing waits and says where that ends. Locked.
func (d *disk) sweep() uint64 {
	for len(d.stripes) > 1 && d.stripes[0].live == 0 {
		d.dead += d.stripes[0].bytes
		d.stripes = d.stripes[1:]
		d.base++
	}
	return d.base
}

// pend queues a record for the journal. Locked.
func (q *Queue) pend(h *held) {
	d := q.disk
	d.pending = append(d.pending, h)
	d.count++
	d.unsafe += h.cost
	q.evict()
	signal(q.dirty)
}

// settled says that nothing waits for a record any more. Locked.
func (q *Queue) settled(r *route, e *entry) {
	d := q.disk
	written := e.safe()
	if h := e.held; h != nil {
		written = written || h.tried
		h.settled, h.body, h.record = true, nil, sink.Record{Sequence: e.sequence}
		q.unlink(h)
		if !e.safe() {
			d.count--
			d.unsafe -= h.cost
		}
	}
	if e.safe() {
		d.dies(e.index, e.size)
	}
	if written {
		r.settled = append(r.settled, e.sequence)
		if len(r.settled) > 4096 { // nobody tells the journal: the disk fails
			r.settled = q.note(r).singles
		}
	}
	q.tell(r)
}

// tell has the journal told of the route by the next Sync. Locked.
func (q *Queue) tell(r *route) {
	if !r.dirty {
		r.dirty = true
		q.disk.dirty = append(q.disk.dirty, r)
	}
	signal(q.dirty)
}

// link keeps a record in memory that is on disk too, as the one needed soonest.
// Locked.
func (q *Queue) link(h *held) {
	if q.disk == nil || h.linked || !h.owner.safe() {
		return
	}
	d := q.disk
	h.linked, h.prev, h.next = true, nil, d.first
	if d.first != nil {
		d.first.prev = h
	} else {
		d.last = h
	}
	d.first = h
	d.resident += h.cost
	q.evict()
}

// linkLast is link for one that is needed last. Locked.
func (q *Queue) linkLast(h *held) {
	d := q.disk
	h.linked, h.prev, h.next = true, d.last, nil
	if d.last != nil {
		d.last.next = h
	} else {
		d.first = h
	}
	d.last = h
	d.resident += h.cost
}

// unlink is the opposite of link. Locked.
func (q *Queue) unlink(h *held) {
	if !h.linked {
		return
	}
	d := q.disk
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		d.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		d.last = h.prev
	}
	h.linked, h.prev, h.next = false, nil, nil
	d.resident -= h.cost
}

// evict leaves records to the disk alone while memory is short, the oldest first.
// Locked.
func (q *Queue) evict() {
	d := q.disk
	for d.first != nil && d.unsafe+d.resident > q.cfg.Memory {
		h := d.first
		h.owner.held = nil
		q.unlink(h)
	}
}

// fitsMemory tells whether a record fits among those that are in memory alone.
func (q *Queue) fitsMemory(cost int64) bool {
	return q.disk.count == 0 || q.disk.unsafe+cost <= q.cfg.Memory
}

// makeRoomInMemory gives up records that are in memory alone until one fits: the
// disk fails, or is too slow. Locked.
func (q *Queue) makeRoomInMemory(cost int64, level int) bool {
	for !q.fitsMemory(cost) {
		h := q.volatile(level)
		if h == nil {
			return false
		}
		e := *h.owner
		in := &h.route.lanes[h.level]
		in.remove(h.owner)
		h.owner = nil
		q.oldest[h.level].place(in)
		q.giveUp(e.stream, QueueFull)
		q.leave(h.route, &e)
	}
	return true
}

// volatile is the record in memory alone that gives way first, of at most that
// level. Locked.
func (q *Queue) volatile(most int) *held {
	d := q.disk
	for level := range min(most+1, len(q.oldest)) {
		for d.passed[level] < len(d.pending) {
			h := d.pending[d.passed[level]]
			if !h.settled && h.level == level && h.item == nil {
				return h
			}
			d.passed[level]++
		}
	}
	return nil
}
