package spool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"syscall"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/journal/journaltest"
)

var seeds = flag.Int("spool.seeds", 100, "seeds of the model test")
var oneSeed = flag.Int64("spool.seed", 0, "the only seed of the model test")

// step is one operation of a script: what and with which chance.
type step struct {
	op  string
	arg int64
}

var ops = []struct {
	name   string
	weight int
}{
	{"append", 45}, {"next", 14}, {"settle", 14}, {"sync", 14}, {"sleep", 5},
	{"crash", 1}, {"exit", 1}, {"reopen", 1}, {"break", 2}, {"mend", 3}, {"fill", 1},
}

func script(seed int64) []step {
	rng := rand.New(rand.NewSource(seed))
	var names []string
	for _, o := range ops {
		names = append(names, slices.Repeat([]string{o.name}, o.weight)...)
	}
	steps := make([]step, 100+rng.Intn(400))
	for i := range steps {
		steps[i] = step{names[rng.Intn(len(names))], rng.Int63()}
	}
	return steps
}

// key is one event's place at the destination.
type key struct {
	route    sink.Route
	sequence uint64
}

// fact is what the model knows of one event.
type fact struct {
	id, stream string
	synced     bool // a Sync that succeeded came after its Append
	settled    bool // as Done or Dead
	told       bool // and a Sync that succeeded came after that
	left       bool // was handed out
	unpromised bool // and that before it was on disk, while the disk failed
	gone       bool // is not waiting any more, and was not settled
}

// model is what a queue promises, in its simplest form.
type model struct {
	rng   *rand.Rand
	cfg   Config
	fs    *journaltest.FS
	q     *Queue
	clock time.Time

	facts    map[key]*fact
	past     map[key]*fact // those that had their end, or that of their process
	firm     map[sink.Route]uint64
	last     map[sink.Route]uint64
	flight   []*Item
	gone     map[string]uint64 // by stream
	reasons  map[string]uint64
	appended map[string]uint64 // by stream, in this process, what was recovered included
	finished map[string]uint64
	serial   int
	unsure   bool // a failed write may have left its bytes on the disk
}

func newModel(seed int64) *model {
	rng := rand.New(rand.NewSource(seed))
	m := &model{
		rng: rng, fs: journaltest.New(rng), clock: time.Unix(1_800_000_000, 0),
		facts: map[key]*fact{}, past: map[key]*fact{}, firm: map[sink.Route]uint64{}, last: map[sink.Route]uint64{},
	}
	m.cfg = Config{
		Path: "spool", FS: m.fs, Max: int64(minDisk + rng.Intn(300_000)), Memory: int64(6_000 + rng.Intn(60_000)),
		WhenFull: []Policy{DropOldest, DropLowestSeverity, Block}[rng.Intn(3)],
		Now:      func() time.Time { return m.clock },
		Gone: func(stream, reason string, n uint64) {
			m.gone[stream] += n
			m.reasons[reason] += n
		},
		Sync: time.Duration(rng.Intn(4)) * 50 * time.Millisecond,
	}
	if rng.Intn(3) == 0 {
		m.cfg.MaxAge = time.Duration(1+rng.Intn(60)) * time.Second
	}
	if rng.Intn(4) == 0 {
		m.cfg.Key = slices.Repeat([]byte{7}, 32)
	}
	return m
}

// play runs a script and says what is wrong with the queue.
func play(seed int64, steps []step) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	m := newModel(seed)
	if err := m.open(); err != nil {
		return err
	}
	for i, s := range steps {
		if err := m.step(s); err != nil {
			return fmt.Errorf("step %d, %s: %w", i, s.op, err)
		}
		if err := m.check(); err != nil {
			return fmt.Errorf("after step %d, %s: %w", i, s.op, err)
		}
	}
	return m.drain()
}

func (m *model) step(s step) error {
	rng := rand.New(rand.NewSource(s.arg))
	switch s.op {
	case "append":
		for range 1 + rng.Intn(6) {
			if err := m.append(rng); err != nil {
				return err
			}
		}
	case "next":
		return m.next(1 + rng.Intn(20))
	case "settle":
		m.settle(rng)
	case "sync":
		return m.sync()
	case "sleep":
		m.clock = m.clock.Add(time.Duration(rng.Intn(2500)) * time.Millisecond)
	case "crash":
		m.fs.Crash()
		return m.restart(false)
	case "exit":
		m.fs.Exit()
		m.fs.Space(1 << 40)
		return m.restart(false)
	case "reopen":
		lost, err := m.q.Release()
		if len(lost) > 0 && err == nil {
			return fmt.Errorf("closed without an error, and lost %v", lost)
		}
		m.fs.Exit()
		m.fs.Space(1 << 40)
		return m.restart(err == nil)
	case "break":
		at, n, what := rng.Intn(5), 1+rng.Intn(6), []string{"", "write", "sync", "create", "read", "remove", "syncdir"}[rng.Intn(7)]
		m.fs.Fail(func(call int, op string) error {
			if call > at && call <= at+n && (what == "" || op == what) {
				return []error{syscall.EIO, syscall.EROFS, syscall.ENOSPC}[call%3]
			}
			return nil
		})
	case "mend":
		m.fs.Fail(nil)
		m.fs.Space(1 << 40)
	case "fill":
		m.fs.Space(int64(rng.Intn(300_000)))
	}
	return nil
}

func (m *model) append(rng *rand.Rand) error {
	m.serial++
	stream := []string{"a", "b", "c"}[rng.Intn(3)]
	ev := event(stream, m.serial, []detect.Severity{info, info, warning, critical}[rng.Intn(4)])
	to := sink.Route{Topic: []string{"", "t"}[rng.Intn(2)]}
	if rng.Intn(4) == 0 {
		to.Key = "shared"
	}
	name := to
	if name.Key == "" {
		name.Key = ev.PartitionKey()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.q.Append(ctx, ev, to); err != nil {
		if m.cfg.WhenFull == Block && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	m.last[name]++
	m.appended[stream]++
	k := key{name, m.last[name]}
	if old := m.past[k]; old != nil && old.left && !old.unpromised {
		return fmt.Errorf("%v was handed out as %s, and is given to %s", k, old.id, ev.ID)
	}
	m.facts[k] = &fact{id: ev.ID, stream: stream}
	if m.cfg.Sync == 0 && m.q.Stats().Err == nil {
		m.observe()
		m.synced()
	}
	return nil
}

// synced says that a Sync has succeeded.
func (m *model) synced() {
	for k, f := range m.facts {
		f.synced = f.synced || !f.gone
		if f.synced {
			m.firm[k.route] = max(m.firm[k.route], k.sequence)
		}
		if f.settled || f.gone {
			f.told = true
			m.past[k] = f
			delete(m.facts, k)
		}
	}
}

func (m *model) sync() error {
	if m.q.Sync() != nil {
		return nil
	}
	m.observe()
	m.synced()
	m.unsure = false
	for _, r := range m.q.routes {
		if err := m.told(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) next(n int) error {
	items, _, _ := m.q.try(n)
	last := map[sink.Route]uint64{}
	for _, it := range m.flight {
		for _, other := range items {
			if it.route == other.route {
				return fmt.Errorf("%v is handed out while %d of it is in flight", it.route.name, it.Sequence)
			}
		}
	}
	for _, it := range items {
		k := key{nameOf(it.Record), it.Sequence}
		f := m.facts[k]
		if f == nil || f.id != it.Event.ID || f.stream != it.Event.Stream {
			return fmt.Errorf("%v: handed out %s, appended was %+v", k, it.Event.ID, f)
		}
		if f.settled || f.gone {
			return fmt.Errorf("%v is handed out after its end: %+v", k, f)
		}
		if it.Sequence <= last[k.route] {
			return fmt.Errorf("%v after %d", k, last[k.route])
		}
		last[k.route] = it.Sequence
		if whole, err := it.Full(); err != nil || whole.Data.Frame == nil {
			return fmt.Errorf("%v: read back without its data (%v)", k, err)
		}
		f.left = true
		if !f.synced {
			if m.q.err == nil && !it.entry.safe() {
				return fmt.Errorf("%v is handed out before it is on disk", k)
			}
			f.unpromised = f.unpromised || !it.entry.safe()
		}
	}
	for route, seq := range last { // what is before was given up or is settled
		for k, f := range m.facts {
			if k.route == route && k.sequence < seq && !f.settled && !f.gone && !slices.ContainsFunc(items, func(it *Item) bool { return it.Sequence == k.sequence && it.route.name == route }) {
				if m.waits(k) {
					return fmt.Errorf("%v is passed over for %d", k, seq)
				}
				f.gone = true
			}
		}
	}
	m.flight = append(m.flight, items...)
	return nil
}

func (m *model) settle(rng *rand.Rand) {
	if len(m.flight) == 0 {
		return
	}
	from := rng.Intn(len(m.flight)) * rng.Intn(2)
	to := from + 1 + rng.Intn(len(m.flight)-from)
	items := slices.Clone(m.flight[from:to])
	fates := make([]Fate, len(items))
	for i, it := range items {
		if fates[i] = []Fate{Done, Done, Done, Again, Dead}[rng.Intn(5)]; fates[i] != Again {
			m.facts[key{it.route.name, it.Sequence}].settled = true
			m.finished[it.Event.Stream]++
		}
	}
	m.q.Settle(items, fates, time.Duration(rng.Intn(3))*time.Second)
	m.flight = slices.Delete(m.flight, from, to)
}
