package spool

import (
	"cmp"
	"errors"
	"maps"
	"math/bits"
	"slices"

	"sightline/sink"
	"sightline/sink/journal"
)

// openDisk prepares for the disk and opens it. One that cannot be read now is tried
// again by Sync; meanwhile nobody knows which numbers were given, and those given
// begin far above them.
func (q *Queue) openDisk() error {
	// The journal's files are at most half as large again as a segment. Four segments
	// of room are one that is being filled, one of waste, and two to move what waits in
	// the oldest file before that is released.
	segment := min(q.cfg.Max/32, 16<<20)
	q.limit = q.cfg.Max - 4*segment
	q.maxIdle = int(min(max(q.cfg.Max/1024, 1024), maxIdle))
	q.disk = &disk{
		segment: segment, turn: make(chan struct{}, 1), passed: make([]int, len(q.oldest)),
		bits: min(bits.Len64(uint64(segment)/8192), 8), // so that a file has several stripes of usual records
	}
	err := q.openJournal()
	if errors.Is(err, journal.ErrLocked) || errors.Is(err, journal.ErrKey) {
		return err
	}
	if err != nil {
		q.base = uint64(q.cfg.Now().UnixMicro())
		q.failed(err, &batch{})
	}
	return nil
}

// openJournal opens the journal and takes up what waits there.
func (q *Queue) openJournal() error {
	j, err := journal.Open(journal.Config{Path: q.cfg.Path, Segment: q.disk.segment, Key: q.cfg.Key, FS: q.cfg.FS}, q.log)
	if err != nil {
		return err
	}
	rc := &recovery{q: q, routes: map[sink.Route]*route{}, late: map[*route][]*lane{}}
	if err := j.Scan(0, rc.entry); err != nil {
		return errors.Join(err, j.Close())
	}
	for r, late := range rc.late {
		r.merge(late)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.disk.journal = j
	q.disk.measure()
	rc.finish()
	return nil
}

// recovery is a scan of the journal. The records that wait are put into their lanes
// as they come; those that were written again come late and wait in further lanes,
// each ascending.
type recovery struct {
	q       *Queue
	routes  map[sink.Route]*route
	late    map[*route][]*lane
	damaged uint64
}

// route finds a route or makes it.
func (rc *recovery) route(name sink.Route) *route {
	r := rc.routes[name]
	if r == nil {
		r = newRoute(name, len(rc.q.oldest))
		rc.routes[name] = r
	}
	return r
}

// entry takes one entry of the journal. Damage is counted, not returned.
func (rc *recovery) entry(index uint64, body []byte, err error) error {
	var lost *journal.LostError
	switch {
	case errors.As(err, &lost):
		rc.damaged += lost.Last - lost.First + 1
		return nil
	case err == nil:
		rc.q.disk.wrote(index, int64(len(body)))
		err = rc.parse(index, body)
	}
	if err != nil {
		rc.damaged++
		rc.q.log.Error("an entry of the journal cannot be read", "path", rc.q.cfg.Path, "entry", index, "error", err)
	}
	return nil
}

func (rc *recovery) parse(index uint64, body []byte) error {
	if len(body) == 0 {
		return errEntry
	}
	switch body[0] {
	case kindRecord:
		return rc.record(index, body)
	case kindNotes:
		notes, err := parseNotes(body)
		for _, n := range notes {
			rc.note(index, n)
		}
		return err
	case kindForgets:
		names, err := parseForgets(body)
		for _, name := range names {
			delete(rc.routes, name)
		}
		return err
	}
	return errEntry
}

func (rc *recovery) record(index uint64, body []byte) error {
	rec, offered, err := parseRecord(body)
	if err != nil {
		return err
	}
	q, r := rc.q, rc.route(nameOf(rec))
	q.mu.Lock()
	stream := q.intern(rec.Event.Stream)
	q.mu.Unlock()
	e := entry{
		index: index, sequence: rec.Sequence, offered: seconds(offered),
		size: uint32(len(body) + entryOverhead), stream: stream,
	}
	level := q.level(rec.Event.Severity)
	if e.sequence > r.last {
		r.last, r.firm, r.noted = e.sequence, e.sequence, index
		r.lanes[level].push(e)
		return nil
	}
	late := rc.late[r]
	for _, in := range append(late, &r.lanes[level]) {
		if old := in.find(e.sequence); old != nil {
			old.index = index // written again, and not released at the end
			return nil
		}
	}
	for _, in := range late {
		if in.level == level && in.tail() < e.sequence {
			in.push(e)
			return nil
		}
	}
	in := &lane{route: r, level: level}
	in.push(e)
	rc.late[r] = append(late, in)
	return nil
}

// note takes what is settled away.
func (rc *recovery) note(index uint64, n note) {
	r := rc.route(n.name)
	if n.firm >= r.firm {
		r.firm, r.noted = n.firm, index
	}
	r.last = max(r.last, n.firm)
	for level := range r.lanes {
		n.settle(&r.lanes[level])
	}
	for _, in := range rc.late[r] {
		n.settle(in)
	}
}

func (n *note) settle(in *lane) {
	for e := in.head(); e != nil && e.sequence <= n.upTo; e = in.head() {
		in.pop()
	}
	for _, s := range n.singles {
		if e := in.find(s); e != nil {
			in.remove(e)
		}
	}
}

// merge puts records that came late where they belong.
func (r *route) merge(late []*lane) {
	for level := range r.lanes {
		var all []entry
		for _, in := range append(late, &r.lanes[level]) {
			if in.level == level {
				in.each(func(e *entry) { all = append(all, *e) })
			}
		}
		slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.sequence, b.sequence) })
		in := &r.lanes[level]
		*in = lane{route: r, level: level, pos: -1}
		for _, e := range all {
			in.push(e)
		}
	}
}

// finish hands the queue what was found. Locked.
func (rc *recovery) finish() {
	q, now := rc.q, rc.q.cfg.Now()
	q.base = 0
	routes := slices.SortedFunc(maps.Values(rc.routes), func(a, b *route) int { return cmp.Compare(a.noted, b.noted) })
	for _, r := range routes {
		for level := range r.lanes {
			in := &r.lanes[level]
			in.each(func(e *entry) {
				q.disk.lives(e.index, e.size)
				q.bytes += int64(e.size)
				q.recovered[q.streams[e.stream]]++
			})
			r.count += in.count
			q.events += in.count
		}
		r = q.adopt(r)
		for level := range r.lanes {
			q.oldest[level].place(&r.lanes[level])
		}
		q.enlist(r, now)
		q.vacate(r)
	}
	if rc.damaged > 0 {
		q.recovered[""] += rc.damaged
		q.cfg.Gone("", Corrupt, rc.damaged)
	}
}

// adopt takes in a route from the journal. What was appended to it before the
// journal could be read comes behind. Locked.
func (q *Queue) adopt(r *route) *route {
	own := q.routes[r.name]
	if own == nil {
		q.routes[r.name] = r
		if r.count > 0 {
			q.keys++
		}
		return r
	}
	if own.count == 0 && r.count > 0 {
		q.keys++
		q.occupy(own)
	}
	own.count += r.count
	own.last, own.firm, own.noted = max(own.last, r.last), max(own.firm, r.firm), r.noted
	for level := range own.lanes {
		in := &own.lanes[level]
		newer := in.chunks
		in.chunks, in.count = r.lanes[level].chunks, r.lanes[level].count
		for _, c := range newer {
			for _, e := range c.entries[c.from:] {
				if !e.gone {
					at := in.push(e)
					at.held.owner = at
				}
			}
		}
	}
	return own
}
