package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sightline/sink/journal"
	"sightline/sink/journal/journaltest"
)

// model is what a journal promises, in the simplest form: what is synced is there
// until it is released; of what is not, a crash takes what it likes; nothing else is
// ever there, and no index of a synced entry is given again.
type model struct {
	t   testing.TB
	rng *rand.Rand
	fs  *journaltest.FS
	cfg journal.Config
	j   *journal.Journal // nil where it is not open

	entries  [][][]byte // what may be at an index, the likeliest last; nil: known to be lost
	taken    uint64     // from here on no Append succeeded
	synced   uint64     // up to here the last is certain
	released uint64     // what is before may be gone
	failed   bool       // since an Append or Sync failed
	blind    bool       // since the disk could not read when it was opened
	serial   int
}

func newModel(t testing.TB, seed int64) *model {
	rng := rand.New(rand.NewSource(seed))
	m := &model{t: t, rng: rng, fs: journaltest.New(rng), entries: make([][][]byte, 1)}
	m.cfg = journal.Config{Path: "spool", Segment: int64(200 + rng.Intn(3000)), FS: m.fs}
	if rng.Intn(3) == 0 {
		m.cfg.Key = bytes.Repeat([]byte{byte(seed)}, 32)
	}
	return m
}

func (m *model) next() uint64 { return uint64(len(m.entries)) }

// may adds bytes that may be at the index.
func (m *model) may(index uint64, b []byte) {
	for m.next() <= index {
		m.entries = append(m.entries, nil)
	}
	m.entries[index] = append(m.entries[index], b)
}

// entry is bytes that no other entry has, with frames of the files inside some.
func (m *model) entry() []byte {
	m.serial++
	b := fmt.Appendf(nil, "%d:", m.serial)
	size := m.rng.Intn(80)
	switch m.rng.Intn(120) {
	case 0:
		size = 257 << 10 // more than is gathered before it is written
	case 1, 2, 3, 4, 5, 6, 7, 8:
		size = m.rng.Intn(3000)
	case 9, 10, 11, 12:
		for _, old := range m.fs.Contents() {
			b = append(b, old[:min(len(old), 200)]...)
		}
	}
	return append(b, bytes.Repeat([]byte{byte(m.serial)}, size)...)
}

// isFault says that the error is one that the file system was told to make.
func isFault(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, journaltest.ErrCrashed)
}

// fault is whether err is a fault; anything else must be no error.
func (m *model) fault(doing string, err error) bool {
	m.t.Helper()
	if err != nil && !isFault(err) {
		m.t.Fatalf("%s: %v", doing, err)
	}
	return err != nil
}

// open opens the journal, unless a fault is in the way, and takes over what it has.
func (m *model) open() {
	m.t.Helper()
	j, err := journal.Open(m.cfg, slog.New(slog.DiscardHandler))
	if m.fault("open", err) {
		return
	}
	m.j, m.failed = j, false
	st := j.Stats()
	m.taken = st.Last + 1
	if st.Last < m.synced {
		m.t.Fatalf("the last is %d, %d were synced", st.Last, m.synced)
	}
	m.blind = slices.ContainsFunc(st.Damage, func(d journal.Damage) bool { return strings.Contains(d.Why, syscall.EIO.Error()) })
	lost, whole := m.compare()
	for _, d := range st.Damage {
		if !d.Tail {
			lost -= d.Entries
		}
	}
	if lost != 0 && whole {
		m.t.Fatalf("%+v: %d more are lost", st.Damage, int64(lost))
	}
	m.released = min(m.released, st.Last+1)
	if m.entries = m.entries[:st.Last+1]; m.fault("sync", j.Sync()) {
		m.failed = true
		return
	}
	m.synced = st.Last
}

// compare reads everything, in order and one by one. What it finds is certain from
// then on. It returns how many are lost, and whether no fault was in the way.
func (m *model) compare() (lost uint64, whole bool) {
	m.t.Helper()
	st, expect := m.j.Stats(), uint64(0)
	if expect = st.First; expect > max(1, m.released) && m.synced >= max(1, m.released) {
		m.t.Fatalf("the first is %d, what is before %d was released", expect, m.released)
	}
	whole = true
	err := m.j.Scan(0, func(index uint64, b []byte, err error) error {
		last := index
		if l := (*journal.LostError)(nil); errors.As(err, &l) {
			last = l.Last
		}
		if index != expect || last < index {
			return fmt.Errorf("index %d to %d, want %d", index, last, expect)
		}
		expect = last + 1
		if m.fault("scan", ignore(err, journal.ErrCorrupt)) {
			whole = false
			return nil
		}
		for i := index; i <= last; i++ {
			if again, err2 := m.j.Read(i); !isFault(err2) && (!bytes.Equal(again, b) || (err2 == nil) != (err == nil)) {
				return fmt.Errorf("entry %d: scan %.40q, %v; read %.40q, %v", i, b, err, again, err2)
			}
			if b == nil {
				lost++
			}
			if err := m.settle(i, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || expect != st.Last+1 {
		m.t.Fatalf("scan to %d, want %d: %v; %+v", expect-1, st.Last, err, st)
	}
	return lost, whole
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

// settle takes note of what is at an index.
func (m *model) settle(i uint64, b []byte) error {
	if i >= m.next() {
		return fmt.Errorf("entry %d is %.40q, nothing was appended there", i, b)
	}
	may := m.entries[i]
	if i <= m.synced && len(may) > 0 {
		may = may[len(may)-1:]
	}
	if b == nil && m.blind {
		return nil
	}
	switch ok := slices.ContainsFunc(may, func(c []byte) bool { return bytes.Equal(c, b) }); {
	case b == nil && i <= m.synced && len(may) > 0:
		return fmt.Errorf("entry %d is lost, up to %d were synced", i, m.synced)
	case b == nil:
		m.entries[i] = nil
	case !ok:
		return fmt.Errorf("entry %d is %.40q, want one of %.40q", i, b, may)
	default:
		m.entries[i] = [][]byte{b}
	}
	return nil
}

// step does one random thing to the journal and to the model.
func (m *model) step() {
	m.t.Helper()
	n := m.rng.Intn(20)
	switch {
	case m.j == nil:
		m.open()
	case n == 0:
		if !m.fault("close", m.j.Close()) {
			m.synced = m.next() - 1
		}
		m.j = nil
	case n == 1:
		m.fs.Exit()
		m.j = nil
	case n < 4:
		m.compare()
	case n < 6:
		to := min(m.released+uint64(m.rng.Intn(20)), m.next())
		if m.rng.Intn(5) == 0 {
			to = m.next()
		}
		m.released = max(m.released, to)
		m.fault("release", m.j.Release(to))
	case m.failed:
		m.recover()
	case n < 15:
		m.append()
	default:
		if m.failed = m.fault("sync", m.j.Sync()); !m.failed {
			m.synced = m.next() - 1
		}
	}
}

func (m *model) append() {
	m.t.Helper()
	group := make([][]byte, m.rng.Intn(6))
	for i := range group {
		group[i] = m.entry()
	}
	index := m.next()
	first, err := m.j.Append(group...)
	if m.failed = m.fault("append", err); !m.failed && first != index {
		m.t.Fatalf("appended at %d, want %d", first, index)
	}
	m.taken = index
	if !m.failed {
		m.taken += uint64(len(group))
	}
	for i, b := range group { // also after a failure: a part may have been written
		m.may(index+uint64(i), b)
	}
}

func (m *model) recover() {
	m.t.Helper()
	if _, err := m.j.Append([]byte("x")); !isFault(err) {
		m.t.Fatalf("append after a failure: %v", err)
	}
	if err := m.j.Sync(); !isFault(err) {
		m.t.Fatalf("sync after a failure: %v", err)
	}
	if m.fault("recover", m.j.Recover()) {
		return
	}
	last := m.j.Stats().Last // may be more than synced: a file that is full is synced by Append
	if last < m.synced || last >= m.taken {
		m.t.Fatalf("recovered at %d, %d were synced and %d taken", last, m.synced, m.taken)
	}
	m.failed, m.synced, m.entries = false, last, m.entries[:last+1]
	m.released = min(m.released, last+1) // what is given anew has not been released
}

// run takes steps until the machine crashes at a call that changes something, 0 for
// never, and returns how many of them there were.
func (m *model) run(steps, crash int) (calls int) {
	m.t.Helper()
	m.fs.Fail(func(_ int, op string) error {
		if slices.Contains([]string{"create", "remove", "syncdir", "write", "sync"}, op) {
			calls++
		}
		if crash > 0 && calls >= crash {
			return journaltest.ErrCrashed
		}
		return nil
	})
	for i := 0; i < steps && (crash == 0 || calls < crash); i++ {
		m.step()
	}
	return calls
}

func TestModelCrashAtEveryCall(t *testing.T) {
	const seeds, steps = 40, 40
	for seed := range int64(seeds) {
		calls := newModel(t, seed).run(steps, 0)
		for crash := 1; crash <= calls; crash++ {
			m := newModel(t, seed)
			ok := t.Run(fmt.Sprintf("seed %d call %d", seed, crash), func(t *testing.T) {
				m.t = t
				m.run(steps, crash)
				for range 3 {
					m.fs.Crash()
					m.j = nil
					m.run(10, 0)
				}
			})
			if !ok {
				return
			}
		}
	}
}

// Each call fails in turn, alone or with those that follow, of those that change
// something and of those that read.
func TestModelFaultAtEveryCall(t *testing.T) {
	const seeds, steps = 25, 40
	for seed := range int64(seeds) {
		m := newModel(t, seed)
		m.run(steps, 0)
		for at, calls := 1, m.fs.Calls(); at <= calls; at += 1 + calls/40 {
			m := newModel(t, seed)
			length, kind := 1+m.rng.Intn(10), []error{syscall.EIO, syscall.ENOSPC}[m.rng.Intn(2)]
			ok := t.Run(fmt.Sprintf("seed %d call %d", seed, at), func(t *testing.T) {
				m.t = t
				m.fs.Fail(func(call int, op string) error {
					switch {
					case call < at || call >= at+length:
						return nil
					case op == "write" || op == "create":
						return kind
					}
					return syscall.EIO
				})
				for range steps {
					m.step()
				}
				m.fs.Crash()
				m.j = nil
				m.run(10, 0)
				if m.failed {
					t.Error("no fault any more, and the journal has not gone on")
				}
			})
			if !ok {
				return
			}
		}
	}
}

// A disk that is full most of the time, and now and then has its files put on one
// that forgets.
func TestModelFullDisk(t *testing.T) {
	for seed := range int64(100) {
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := newModel(t, seed)
			m.cfg.Segment = 1 << 20
			for range 20 {
				m.fs.Space(int64(m.rng.Intn(20_000)))
				m.run(20, 0)
				if m.rng.Intn(3) == 0 {
					m.fs.Crash()
					m.j = nil
				}
			}
			m.fs.Space(1 << 30)
			m.run(30, 0)
			if m.failed || m.synced == 0 {
				t.Error("there is space, and the journal has not gone on")
			}
		})
		if !ok {
			return
		}
	}
}
