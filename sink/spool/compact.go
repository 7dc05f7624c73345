package spool

import (
	"errors"

	"sightline/sink"
	"sightline/sink/journal"
)

// atOnce is how many files one Sync writes anew while there is room.
const atOnce = 2

// release lets files go that hold nothing that waits, with force also where they
// are few bytes. What only they tell of numbers is written anew before. It reports
// whether there was something to let go.
func (q *Queue) release(force bool) (bool, error) {
	q.mu.Lock()
	d := q.disk
	before := d.sweep() << d.bits
	if d.dead < d.segment && !force || d.dead == 0 {
		q.mu.Unlock()
		return false, nil
	}
	var notes []note
	for _, r := range q.routes {
		if r.firm > 0 && r.noted < before {
			notes = append(notes, note{route: r, name: r.name, firm: r.firm})
		}
	}
	q.mu.Unlock()
	if len(notes) > 0 {
		entry := appendNotes(notes)
		index, err := q.push([][]byte{entry})
		if err != nil {
			return false, err
		}
		q.mu.Lock()
		d.wrote(index, int64(len(entry)))
		for i := range notes {
			notes[i].noted(index)
		}
		q.mu.Unlock()
	}
	if err := d.journal.Release(before); err != nil {
		return false, err
	}
	q.mu.Lock()
	d.dead = 0
	q.mu.Unlock()
	return true, nil
}

// compact makes room on disk while more than half of it holds nothing that waits,
// or need bytes would not fit: what still waits in the oldest files is written
// again, and they are released.
func (q *Queue) compact(need int64) error {
	for n := range 1 + q.cfg.Max/q.disk.segment {
		bytes := q.disk.journal.Stats().Bytes
		q.mu.Lock()
		live, segment := q.disk.live, q.disk.segment
		q.mu.Unlock()
		wasted := bytes-live > live+2*segment
		short := bytes+need > q.cfg.Max-2*segment && bytes-live > segment
		if !wasted && !short {
			return nil
		}
		if n >= atOnce && !short {
			signal(q.dirty) // to go on with the next Sync
			return nil
		}
		released, err := q.release(true)
		if err == nil && !released {
			err = q.move()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moved is a record that is written again.
type moved struct {
	name     sink.Route
	sequence uint64
	index    uint64 // where it was
}

// move writes again what waits in the oldest bytes of the journal, about a file of
// them.
func (q *Queue) move() error {
	q.mu.Lock()
	d := q.disk
	from, n := d.sweep(), 0
	for bytes := int64(0); n < len(d.stripes)-1 && bytes < d.segment; n++ {
		bytes += d.stripes[n].bytes
	}
	q.mu.Unlock()
	to := from + uint64(n)
	var records []moved
	var entries [][]byte
	err := d.journal.Scan(from<<d.bits, func(index uint64, entry []byte, err error) error {
		if index >= to<<d.bits {
			return errStop
		}
		if errors.Is(err, journal.ErrCorrupt) {
			return nil // given up when its turn comes
		}
		if err != nil {
			return err
		}
		r, _, err := parseRecord(entry)
		if err != nil {
			return nil // a note
		}
		m := moved{nameOf(r), r.Sequence, index}
		q.mu.Lock()
		defer q.mu.Unlock()
		if _, e := q.waiting(m); e != nil {
			records, entries = append(records, m), append(entries, entry)
		}
		return nil
	})
	if err != nil && err != errStop {
		return err
	}
	var first uint64
	if len(entries) > 0 {
		if first, err = q.push(entries); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, m := range records {
		q.relocate(m, first+uint64(i), entries[i])
	}
	for i := range n {
		d.stripes[i].live = 0 // what is left cannot be read
	}
	return nil
}

var errStop = errors.New("stop")

// waiting finds a record on disk, nil where it has been settled or is elsewhere.
// The lane is nil where it is in flight. Locked.
func (q *Queue) waiting(m moved) (*lane, *entry) {
	r := q.routes[m.name]
	if r == nil {
		return nil, nil
	}
	for i := range r.lanes {
		if e := r.lanes[i].find(m.sequence); e != nil && e.index == m.index {
			return &r.lanes[i], e
		}
	}
	for _, it := range r.flight {
		if !it.done && it.entry.index == m.index {
			return nil, &it.entry
		}
	}
	return nil, nil
}

// relocate says that a record is at another index. Locked.
func (q *Queue) relocate(m moved, index uint64, body []byte) {
	d := q.disk
	d.wrote(index, int64(len(body)))
	in, e := q.waiting(m)
	if e == nil {
		return // settled meanwhile
	}
	d.dies(e.index, e.size)
	e.index = index
	d.lives(index, e.size)
	if in != nil && in.head() == e {
		q.oldest[in.level].place(in)
	}
}
