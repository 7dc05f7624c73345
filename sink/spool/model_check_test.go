package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"sightline/sink/journal"
)

// open starts a process.
func (m *model) open() error {
	m.gone, m.reasons = map[string]uint64{}, map[string]uint64{}
	m.appended, m.finished, m.flight = map[string]uint64{}, map[string]uint64{}, nil
	q, err := Open(m.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	m.q = q
	for stream, n := range q.Stats().Recovered {
		m.appended[stream] += n
	}
	return nil
}

// observe notes which records wait no more, because they were given up.
func (m *model) observe() {
	waiting := m.all()
	for k, f := range m.facts {
		if !f.settled && !f.gone && !waiting[k] {
			f.gone = true
		}
	}
}

// all is every record that the queue has.
func (m *model) all() map[key]bool {
	out := map[key]bool{}
	for name, r := range m.q.routes {
		for i := range r.lanes {
			r.lanes[i].each(func(e *entry) { out[key{name, e.sequence}] = true })
		}
		for _, it := range r.flight {
			out[key{name, it.entry.sequence}] = true
		}
	}
	return out
}

func (m *model) waits(k key) bool { return m.all()[k] }

// restart begins a new process after the end of one. clean: it could close.
func (m *model) restart(clean bool) error {
	m.observe()
	if clean {
		m.synced()
	}
	before := map[key]fact{}
	for k, f := range m.facts {
		before[k] = *f
	}
	last := m.last
	if err := m.open(); err != nil {
		return err
	}
	waiting := m.all()
	for k, f := range before {
		must := f.synced && !f.settled && !f.gone
		if must && !waiting[k] {
			return fmt.Errorf("%v was on disk and is lost: %+v", k, f)
		}
	}
	for name, firm := range m.firm {
		if r := m.q.routes[name]; r == nil || r.last < firm {
			return fmt.Errorf("%v: number %d was on disk, and is forgotten: %+v", name, firm, r)
		}
	}
	for k := range waiting {
		if _, ok := before[k]; !ok {
			return fmt.Errorf("%v waits, and never was, or had its end: %+v", k, m.past[k])
		}
		// It may have been settled or given up without the disk knowing.
		m.facts[k].settled, m.facts[k].gone, m.facts[k].synced, m.facts[k].told = false, false, true, false
	}
	for name, r := range m.q.routes {
		if r.last > last[name] {
			return fmt.Errorf("%v: numbers go on at %d, %d were given", name, r.last, last[name])
		}
	}
	for name := range last {
		m.last[name] = 0
		if r := m.q.routes[name]; r != nil {
			m.last[name] = r.last
		}
	}
	for k, f := range m.facts {
		if !waiting[k] { // its end, or that of its process
			m.past[k] = f
			delete(m.facts, k)
		}
	}
	return nil
}

// check compares the sums.
func (m *model) check() error {
	st := m.q.Stats()
	var made, out uint64
	for _, n := range m.appended {
		made += n
	}
	for _, n := range m.finished {
		out += n
	}
	for _, n := range m.gone {
		out += n
	}
	if made != out+uint64(st.Events) {
		return fmt.Errorf("made %v, finished %v, gone %v, waiting %d", m.appended, m.finished, m.gone, st.Events)
	}
	d := m.q.disk
	var bytes, live, cost, resident int64
	events, unsynced := 0, 0
	count := func(e *entry) {
		events++
		bytes += int64(e.size)
		if e.safe() {
			live += int64(e.size)
		} else {
			unsynced++
			cost += e.held.cost
		}
		if e.held != nil && e.held.linked {
			resident += e.held.cost
		}
	}
	keys := 0
	for name, r := range m.q.routes {
		was := events
		for i := range r.lanes {
			n := events
			r.lanes[i].each(count)
			if events-n != r.lanes[i].count {
				return fmt.Errorf("%v: %d entries, counted %d", name, events-n, r.lanes[i].count)
			}
		}
		for _, it := range r.flight {
			count(&it.entry)
		}
		if events-was != r.count {
			return fmt.Errorf("%v: %d entries, counted %d", name, events-was, r.count)
		}
		if events > was {
			keys++
		}
	}
	if events != st.Events || bytes != st.Bytes || unsynced != st.Unsynced || keys != st.Keys || live != d.live || cost != d.unsafe || resident != d.resident {
		return fmt.Errorf("%d events of %d bytes, %d unsynced, %d keys, live %d, unsafe %d, resident %d; counted %+v, %d, %d, %d",
			events, bytes, unsynced, keys, live, cost, resident, st, d.live, d.unsafe, d.resident)
	}
	if st.Bytes > m.q.limit && events > 1 && st.Recovered == nil {
		return fmt.Errorf("%d bytes wait, allowed are %d", st.Bytes, m.q.limit)
	}
	if d.unsafe > m.cfg.Memory && unsynced > 1 {
		return fmt.Errorf("%d bytes wait in memory alone, allowed are %d", d.unsafe, m.cfg.Memory)
	}
	m.unsure = m.unsure || st.Err != nil
	if st.Disk > m.cfg.Max && !m.unsure {
		return fmt.Errorf("%d bytes on disk, allowed are %d", st.Disk, m.cfg.Max)
	}
	return nil
}

// told checks that the journal tells of a route's last number where the queue
// believes it does.
func (m *model) told(r *route) error {
	if r.firm == 0 || r.dirty {
		return nil
	}
	body, err := m.q.disk.journal.Read(r.noted)
	if errors.Is(err, journal.ErrNotFound) {
		return fmt.Errorf("%v: entry %d, which tells of number %d, is released", r.name, r.noted, r.firm)
	}
	if err != nil {
		return nil
	}
	if rec, _, err := parseRecord(body); err == nil {
		if rec.Sequence == r.firm {
			return nil
		}
		return fmt.Errorf("%v: entry %d is of record %d, not %d", r.name, r.noted, rec.Sequence, r.firm)
	}
	notes, err := parseNotes(body)
	if err != nil || !slices.ContainsFunc(notes, func(n note) bool { return n.name == r.name && n.firm == r.firm }) {
		return fmt.Errorf("%v: entry %d does not tell of number %d: %+v, %v", r.name, r.noted, r.firm, notes, err)
	}
	return nil
}

// drain delivers what is left, on a disk that works.
func (m *model) drain() error {
	m.fs.Fail(nil)
	m.fs.Space(1 << 40)
	m.clock = m.clock.Add(5 * time.Second)
	fates := make([]Fate, len(m.flight))
	for i := range fates {
		fates[i] = Again
	}
	m.q.Settle(m.flight, fates, 0)
	m.flight = nil
	if err := m.q.Sync(); err != nil {
		return fmt.Errorf("sync on a good disk: %w", err)
	}
	m.observe()
	m.synced()
	for range 2000 {
		m.clock = m.clock.Add(time.Second)
		if err := m.next(50); err != nil {
			return fmt.Errorf("at the end: %w", err)
		}
		done := make([]Fate, len(m.flight))
		for i, it := range m.flight {
			done[i] = Done
			m.facts[key{it.route.name, it.Sequence}].settled = true
			m.finished[it.Event.Stream]++
		}
		m.q.Settle(m.flight, done, 0)
		m.flight = nil
		if err := m.check(); err != nil {
			return fmt.Errorf("at the end: %w", err)
		}
		if m.q.Stats().Events == 0 {
			break
		}
	}
	if n := m.q.Stats().Events; n > 0 {
		return fmt.Errorf("%d records never leave", n)
	}
	lost, err := m.q.Release()
	if err != nil || len(lost) > 0 {
		return fmt.Errorf("released: lost %v, %w", lost, err)
	}
	m.synced()
	return m.restart(true)
}

// shrink leaves out what a failing script does not need.
func shrink(seed int64, steps []step) []step {
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(steps); {
			less := append(append([]step{}, steps[:at]...), steps[at+size:]...)
			if play(seed, less) != nil {
				steps = less
			} else {
				at += size
			}
		}
	}
	return steps
}

// Random operations, crashes at any write and faults of the disk against the model.
// -spool.seed plays one seed alone.
func TestQueueKeepsItsPromises(t *testing.T) {
	from, to := int64(1), int64(*seeds)
	if *oneSeed != 0 {
		from, to = *oneSeed, *oneSeed
	}
	for seed := from; seed <= to; seed++ {
		steps := script(seed)
		if err := play(seed, steps); err != nil {
			steps = shrink(seed, steps)
			t.Errorf("seed %d: %v", seed, err)
			t.Fatalf("shrunk: %v\n%v", play(seed, steps), steps)
		}
	}
}
