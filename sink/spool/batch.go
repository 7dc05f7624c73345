package spool

// batch is what one Sync writes.
type batch struct {
	forgotten int // of disk.forgotten
	taken     int // of disk.pending
	records   []*held
	notes     []note
	settled   [][]uint64 // of the notes' routes
	entries   [][]byte   // forgotten routes, the records, the notes
	first     uint64     // index of entries[0]
	bytes     int64
}

func (b *batch) add(entry []byte) {
	b.entries = append(b.entries, entry)
	b.bytes += int64(len(entry)) + entryOverhead
}

// batch takes what there is to write. Locked.
func (q *Queue) batch() *batch {
	d := q.disk
	b := &batch{forgotten: len(d.forgotten), taken: len(d.pending)}
	if b.forgotten > 0 {
		entry := []byte{kindForgets}
		for _, name := range d.forgotten {
			entry = appendText(appendText(entry, name.Topic), name.Key)
		}
		b.add(entry)
	}
	for _, h := range d.pending {
		if !h.settled {
			h.tried = true
			b.records = append(b.records, h)
			b.add(h.body)
		}
	}
	q.refresh()
	for _, r := range d.dirty {
		b.notes, b.settled = append(b.notes, q.note(r)), append(b.settled, r.settled)
		r.dirty, r.settled = false, nil
		r.pins++
	}
	d.dirty = d.dirty[:0]
	if len(b.notes) > 0 || q.err != nil { // after a failure there must be something to write
		b.add(appendNotes(b.notes))
	}
	return b
}

// refresh has the numbers of idle routes written again with each file, so that a
// disk that is full later can be freed up to the newest files without writing.
// Locked.
func (q *Queue) refresh() {
	d := q.disk
	if d.written < d.segment || int64(len(q.routes))*64 > d.segment/8 {
		return
	}
	for _, r := range q.routes {
		if r.firm > 0 && r.noted < d.fresh {
			q.tell(r)
		}
	}
	d.written, d.fresh = 0, (d.base+uint64(len(d.stripes)))<<d.bits
}

func appendNotes(notes []note) []byte {
	entry := []byte{kindNotes}
	for i := range notes {
		entry = notes[i].append(entry)
	}
	return entry
}

// takeBack undoes Queue.batch. Locked.
func (q *Queue) takeBack(b *batch) {
	d := q.disk
	for i := range b.notes {
		r := b.notes[i].route
		r.pins--
		r.settled = append(b.settled[i], r.settled...)
		q.tell(r)
	}
	kept := d.pending[:0]
	for _, h := range d.pending {
		if !h.settled {
			kept = append(kept, h)
		}
	}
	clear(d.pending[len(kept):])
	d.pending = kept
	clear(d.passed)
}

// store puts the batch on disk.
func (q *Queue) store(b *batch) error {
	if len(b.entries) == 0 {
		return nil
	}
	first, err := q.push(b.entries)
	b.first = first
	return err
}

// push appends entries to the journal, syncs it and returns the first one's index.
func (q *Queue) push(entries [][]byte) (first uint64, err error) {
	for from := 0; from < len(entries); {
		to, bytes := from, int64(0)
		for to < len(entries) && bytes < min(writeBytes, q.disk.segment/2) {
			bytes += int64(len(entries[to]))
			to++
		}
		index, err := q.disk.journal.Append(entries[from:to]...)
		if err != nil {
			return 0, err
		}
		if from == 0 {
			first = index
		}
		from = to
	}
	return first, q.disk.journal.Sync()
}

// stored says that the batch is on disk. Locked.
func (q *Queue) stored(b *batch) {
	d, now, index := q.disk, q.cfg.Now(), b.first
	for i, entry := range b.entries {
		d.wrote(b.first+uint64(i), int64(len(entry)))
	}
	d.forgotten = d.forgotten[b.forgotten:]
	if b.forgotten > 0 {
		index++
	}
	for _, h := range b.records {
		q.storedRecord(h, index)
		q.enlist(h.route, now)
		index++
	}
	left := copy(d.pending, d.pending[b.taken:])
	clear(d.pending[left:])
	d.pending = d.pending[:left]
	for level := range d.passed {
		d.passed[level] = max(0, d.passed[level]-b.taken)
	}
	for i := range b.notes {
		b.notes[i].noted(index)
		b.notes[i].route.pins--
	}
	q.forget()
	q.evict()
	q.madeRoom()
}

func (q *Queue) storedRecord(h *held, index uint64) {
	d, r := q.disk, h.route
	sequence := h.record.Sequence
	r.firm, r.noted = max(r.firm, sequence), index
	if h.settled { // while it was being written
		q.tell(r)
		return
	}
	d.count--
	d.unsafe -= h.cost
	h.body = nil
	if h.item != nil {
		h.item.entry.index = index
		d.lives(index, h.item.entry.size)
		return
	}
	h.owner.index = index
	d.lives(index, h.owner.size)
	in := &r.lanes[h.level]
	if in.head() == h.owner {
		q.oldest[h.level].place(in)
	}
	q.linkLast(h)
}
