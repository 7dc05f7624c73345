package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"testing"

	"sightline/sink/journal"
	"sightline/sink/journal/journaltest"
)

func openIn(t testing.TB, fs *journaltest.FS, key []byte) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Config{Path: "spool", Segment: 150, Key: key, FS: fs}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// small is a journal of several files with 12 entries.
func small(t testing.TB, key []byte) map[string][]byte {
	t.Helper()
	fs := journaltest.New(rand.New(rand.NewSource(1)))
	j := openIn(t, fs, key)
	for i := range 12 {
		if _, err := j.Append(bytes.Repeat([]byte{byte('a' + i)}, 20+i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return fs.Contents()
}

func folder(files map[string][]byte) *journaltest.FS {
	fs := journaltest.New(rand.New(rand.NewSource(1)))
	for name, b := range files {
		fs.Put(name, b)
	}
	return fs
}

// readAll reads each entry, which is whole or an ErrCorrupt, and returns how many
// were not whole.
func readAll(t testing.TB, j *journal.Journal, last uint64) (lost int) {
	t.Helper()
	for i := uint64(1); i <= last; i++ {
		b, err := j.Read(i)
		switch {
		case err == nil && !bytes.Equal(b, bytes.Repeat([]byte{byte('a' + i - 1)}, 19+int(i))):
			t.Fatalf("entry %d is %q", i, b)
		case errors.Is(err, journal.ErrCorrupt):
			lost++
		case err != nil:
			t.Fatal(err)
		}
	}
	return lost
}

// A bit that flips anywhere costs one entry at most, the one it is in, and is seen:
// by Open, and by Read where it flips later.
func TestFlippedBit(t *testing.T) {
	for _, key := range [][]byte{nil, bytes.Repeat([]byte{1}, 32)} {
		files := small(t, key)
		if len(files) < 4 {
			t.Fatalf("%d files", len(files))
		}
		for name, b := range files {
			for at := range b {
				for bit := range 8 {
					flip(t, folder(files), key, name, int64(at), 1<<bit)
					if t.Failed() {
						t.Fatalf("%s: bit %d of byte %d", name, bit, at)
					}
				}
			}
		}
	}
}

func flip(t *testing.T, fs *journaltest.FS, key []byte, name string, at int64, by byte) {
	j := openIn(t, fs, key)
	fs.Damage(name, at, by)
	if lost := readAll(t, j, 12); lost > 1 {
		t.Errorf("flipped after Open: %d entries lost", lost)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openIn(t, fs, key)
	st := j.Stats()
	if len(st.Damage) != 1 || st.Damage[0].File != name || st.Damage[0].Why == "" || st.Damage[0].Offset > at {
		t.Fatalf("damage %+v", st.Damage)
	}
	lost := readAll(t, j, st.Last) + int(12-st.Last) // the last entry is taken for one that was being written
	if lost != int(st.Damage[0].Entries) || lost > 1 || st.Last < 12 != st.Damage[0].Tail && lost > 0 {
		t.Errorf("%d entries lost, the last is %d: %+v", lost, st.Last, st.Damage)
	}
	if r, err := journal.Inspect(journal.Config{Path: "spool", FS: fs}); err != nil || len(r.Damage) != 1 || r.Last != st.Last {
		t.Errorf("inspect: %+v, %v", r, err)
	}
}

// Damage of more than a bit: a hole, a file cut short, a file gone, one in the place
// of another.
func TestDamageCounted(t *testing.T) {
	var names []string
	files := small(t, nil)
	for n := range 12 { // in order of their numbers
		for name := range files {
			if bytes.HasPrefix([]byte(name), fmt.Appendf(nil, "%010d-", n)) {
				names = append(names, name)
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(files map[string][]byte)
		lost   int
	}{
		{"a hole over two entries", func(f map[string][]byte) { clear(f[names[0]][70:120]) }, 2},
		{"all heads of a file but the last", func(f map[string][]byte) { clear(f[names[1]][:len(f[names[1]])-60]) }, -1},
		{"a file without its end", func(f map[string][]byte) { f[names[0]] = f[names[0]][:100] }, -1},
		{"a file without anything", func(f map[string][]byte) { f[names[1]] = nil }, -1},
		{"a file that is gone", func(f map[string][]byte) { delete(f, names[1]) }, -1},
		{"a file in another's place", func(f map[string][]byte) { f[names[1]] = f[names[0]] }, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			copied := map[string][]byte{}
			for name, b := range files {
				copied[name] = bytes.Clone(b)
			}
			c.damage(copied)
			j := openIn(t, folder(copied), nil)
			lost, told := readAll(t, j, 12), 0
			for _, d := range j.Stats().Damage {
				told += int(d.Entries)
			}
			if lost == 0 || lost != told || c.lost > 0 && lost != c.lost {
				t.Errorf("%d entries lost, %d told: %+v", lost, told, j.Stats().Damage)
			}
			if first, err := j.Append([]byte("next")); err != nil || first != 13 {
				t.Errorf("appended at %d: %v", first, err)
			}
		})
	}
}

// Damage everywhere is told in bounded memory, with the right sum.
func TestDamageInManyPlaces(t *testing.T) {
	const n = 3001
	fs := journaltest.New(rand.New(rand.NewSource(1)))
	cfg := journal.Config{Path: "spool", FS: fs}
	j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := j.Append(make([]byte, 80)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range fs.Contents() {
		for i := range int64(n - 1) { // the payloads of all but the last
			fs.Damage(name, 28+i*100+50, 1)
		}
	}
	var logged bytes.Buffer
	if j, err = journal.Open(cfg, slog.New(slog.NewTextHandler(&logged, nil))); err != nil {
		t.Fatal(err)
	}
	lost := uint64(0)
	for _, d := range j.Stats().Damage {
		lost += d.Entries
	}
	if pieces, lines := len(j.Stats().Damage), bytes.Count(logged.Bytes(), []byte("\n")); lost != n-1 || pieces != 1000 || lines != 21 {
		t.Errorf("%d entries lost, told in %d pieces and %d lines", lost, pieces, lines)
	}
}

// A key that does not fit is said to be just that, also where a header is damaged.
func TestKeyWithDamagedHeader(t *testing.T) {
	files := small(t, bytes.Repeat([]byte{1}, 32))
	for name := range files {
		fs := folder(files)
		fs.Damage(name, 20, 1)
		for _, key := range [][]byte{nil, bytes.Repeat([]byte{2}, 32)} {
			if _, err := journal.Open(journal.Config{Path: "spool", Key: key, FS: fs}, slog.New(slog.DiscardHandler)); !errors.Is(err, journal.ErrKey) {
				t.Errorf("key %x: %v", key, err)
			}
		}
	}
	for name, b := range files { // each alone
		fs := folder(map[string][]byte{name: b})
		fs.Damage(name, 20, 1)
		for _, key := range [][]byte{nil, bytes.Repeat([]byte{2}, 32)} {
			if _, err := journal.Open(journal.Config{Path: "spool", Key: key, FS: fs}, slog.New(slog.DiscardHandler)); !errors.Is(err, journal.ErrKey) {
				t.Errorf("alone, key %x: %v", key, err)
			}
		}
	}
}
