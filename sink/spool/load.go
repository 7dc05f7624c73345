package spool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"sightline/sink/journal"
)

// rereads is how often a record that the disk does not hand out is tried, once a
// second, before it counts as corrupt.
const rereads = 10

// load reads the records of items that are on disk alone and returns the items that
// have theirs, in order. Of a route whose records the disk does not hand out now,
// what follows goes back.
func (q *Queue) load(items []*Item) []*Item {
	var absent []*Item
	for _, it := range items {
		if it.Event == nil {
			absent = append(absent, it)
		}
	}
	if len(absent) == 0 {
		return items
	}
	q.mu.Lock() // Sync may move entries
	slices.SortFunc(absent, func(a, b *Item) int { return cmp.Compare(a.entry.index, b.entry.index) })
	q.mu.Unlock()
	corrupt, unread := map[*Item]error{}, map[*route]error{}
	for _, it := range absent {
		err := q.read(it)
		switch {
		case err == nil:
		case errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrNotFound) || errors.Is(err, errEntry):
			corrupt[it] = err
		case unread[it.route] == nil:
			unread[it.route] = err
		}
	}
	return q.loaded(items, corrupt, unread)
}

// read fetches one record. The flight's entry may be moved by Sync meanwhile, and
// then is read where it has gone.
func (q *Queue) read(it *Item) error {
	for {
		q.mu.Lock()
		index := it.entry.index
		q.mu.Unlock()
		body, err := q.disk.journal.Read(index)
		q.mu.Lock()
		gone := it.entry.index != index
		q.mu.Unlock()
		if gone {
			continue
		}
		if err != nil {
			return err
		}
		r, offered, err := parseRecord(body)
		if err != nil || r.Sequence != it.entry.sequence || nameOf(r) != it.route.name {
			return fmt.Errorf("entry %d: %w", index, errEntry)
		}
		it.Record, it.Offered = r, offered
		return nil
	}
}

// loaded gives up what is corrupt and puts back what could not be read.
func (q *Queue) loaded(items []*Item, corrupt map[*Item]error, unread map[*route]error) []*Item {
	now := q.cfg.Now()
	var fault error
	q.mu.Lock()
	d := q.disk
	was := d.unread
	d.unread = nil
	var touched []*route
	for _, it := range items {
		if err := corrupt[it]; err != nil {
			q.log.Error("a waiting record is damaged and given up", "path", q.cfg.Path, "route", it.route.name, "sequence", it.entry.sequence, "error", err)
			it.done = true
			q.giveUp(it.entry.stream, Corrupt)
			q.leave(it.route, &it.entry)
			touched = touch(touched, it.route)
		}
	}
	for _, it := range slices.Backward(items) {
		err := unread[it.route]
		if err == nil || it.done {
			continue
		}
		fault, touched = err, touch(touched, it.route)
		it.route.until = now.Add(time.Second)
		it.done = true
		q.putBack(it)
	}
	for _, it := range items {
		if !it.done {
			it.route.unread = 0
		}
	}
	for _, r := range touched {
		if err := unread[r]; err != nil {
			if r.unread++; r.unread > rereads {
				q.giveUpHead(r, err)
			}
		}
		r.touched = false
		q.landed(r, now)
	}
	d.unread = fault
	failing := q.err != nil
	q.mu.Unlock()
	if !failing && (fault == nil) != (was == nil) {
		q.cfg.Fault(fault)
	}
	return slices.DeleteFunc(items, func(it *Item) bool { return it.done })
}

// giveUpHead gives up the first record of a route that nobody can read. Locked.
func (q *Queue) giveUpHead(r *route, err error) {
	in, e := r.head()
	if e == nil || !e.safe() {
		return
	}
	q.log.Error("a waiting record cannot be read and is given up", "path", q.cfg.Path, "route", r.name, "sequence", e.sequence, "error", err)
	q.drop(in, Corrupt)
	r.unread = 0
}
