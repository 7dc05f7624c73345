package journal_test

import (
	"errors"
	"log/slog"
	"maps"
	"math/rand"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"sightline/sink/journal"
	"sightline/sink/journal/journaltest"
)

// Where the newest file cannot be read, Open says so and changes nothing: a file
// behind it would make void what it holds. An older one that cannot be read is
// damage, and is kept. Inspect reports both.
func TestUnreadableFile(t *testing.T) {
	files := small(t, nil)
	names := slices.Sorted(maps.Keys(files))
	for i, name := range names {
		fs := unreadable{folder(files), name}
		cfg := journal.Config{Path: "spool", FS: fs}
		r, err := journal.Inspect(cfg)
		if err != nil || !slices.ContainsFunc(r.Damage, func(d journal.Damage) bool { return d.File == name && d.Entries > 0 }) {
			t.Errorf("%s: inspect: %+v, %v", name, r, err)
		}
		j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
		if newest := i == len(names)-1; newest || err != nil {
			if !newest || !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: open: %v", name, err)
			}
			continue
		}
		if lost := readAll(t, j, 12); lost == 0 || lost == 12 {
			t.Errorf("%s: %d entries cannot be read", name, lost)
		}
		if err := j.Release(1); err != nil {
			t.Error(err)
		}
		if readAll(t, openIn(t, folder(fs.Contents()), nil), 12) > 0 {
			t.Errorf("%s was not kept", name)
		}
	}
}

// unreadable has a file that cannot be read.
type unreadable struct {
	*journaltest.FS
	name string
}

type unreadableFile struct{ journal.File }

func (unreadableFile) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

func (u unreadable) Open(path string) (journal.File, error) {
	f, err := u.FS.Open(path)
	if err == nil && path == filepath.Join("spool", u.name) {
		return unreadableFile{f}, nil
	}
	return f, err
}

// A sync fails and the process is killed: the next one finds the entries, which are
// in memory only. While the disk fails it says so, and once it has recovered they
// are really there.
func TestFailedSyncOfTheProcessBefore(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		for seed := range int64(20) {
			fs := journaltest.New(rand.New(rand.NewSource(seed)))
			failing := func(_ int, op string) error {
				if op == "sync" {
					return syscall.EIO
				}
				return nil
			}
			j := openIn(t, fs, nil)
			fs.Fail(failing)
			if _, err := j.Append([]byte("one"), []byte("two")); err != nil {
				t.Fatal(err)
			}
			if err := j.Sync(); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			fs.Exit()
			if recovers {
				fs.Fail(failing)
			}
			j = openIn(t, fs, nil)
			if recovers {
				for range 3 {
					if err := j.Recover(); !errors.Is(err, syscall.EIO) {
						t.Fatalf("recover while the disk fails: %v", err)
					}
				}
				fs.Fail(nil)
				if err := j.Recover(); err != nil {
					t.Fatal(err)
				}
			}
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
			fs.Crash()
			j = openIn(t, fs, nil)
			if b, err := j.Read(2); string(b) != "two" || j.Stats().Last != 2 {
				t.Fatalf("recovers %v, seed %d: read %q, %v", recovers, seed, b, err)
			}
		}
	}
}

// What was released before it was synced, and given up by Recover, has its indices
// given anew: those entries are nobody's to remove.
func TestReleasedThenGivenAnew(t *testing.T) {
	fs := journaltest.New(rand.New(rand.NewSource(1)))
	j := openIn(t, fs, nil)
	for range 5 {
		if _, err := j.Append([]byte("old")); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Release(6); err != nil {
		t.Fatal(err)
	}
	fs.Fail(func(int, string) error { return syscall.EIO })
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	fs.Fail(nil)
	if err := j.Recover(); err != nil {
		t.Fatal(err)
	}
	for want := range uint64(5) { // a file each
		if at, err := j.Append(make([]byte, 150)); err != nil || at != want+1 {
			t.Fatalf("appended at %d, %v", at, err)
		}
		if err := errors.Join(j.Sync(), j.Release(0)); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := j.Read(1); len(b) != 150 {
		t.Errorf("entry 1 was synced and not released: %d bytes, %v; %+v", len(b), err, j.Stats())
	}
}

// After a crash that takes everything, indices begin anew, but never in a file of
// the same name: from it come the keys with which entries are sealed.
func TestNoNonceTwice(t *testing.T) {
	fs := journaltest.New(rand.New(rand.NewSource(1)))
	names := map[string]bool{}
	for range 50 {
		j := openIn(t, fs, make([]byte, 32))
		if first, err := j.Append([]byte("secret")); err != nil || first != 1 {
			t.Fatalf("appended at %d, %v", first, err)
		}
		for name := range fs.Contents() {
			if names[name] {
				t.Fatalf("%s again", name)
			}
			names[name] = true
			fs.Remove(name)
		}
		fs.Exit()
	}
}

// gate lets syncs of files through one by one.
type gate struct {
	*journaltest.FS
	asked chan struct{}
	let   chan error
}

type gatedFile struct {
	journal.File
	gate gate
}

func (g gate) Create(path string) (journal.File, error) {
	f, err := g.FS.Create(path)
	return gatedFile{f, g}, err
}

func (f gatedFile) Sync() error {
	f.gate.asked <- struct{}{}
	if err := <-f.gate.let; err != nil {
		return err
	}
	return f.File.Sync()
}

func gated(t *testing.T) (gate, *journal.Journal) {
	g := gate{journaltest.New(rand.New(rand.NewSource(1))), make(chan struct{}), make(chan error)}
	j, err := journal.Open(journal.Config{Path: "spool", FS: g}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g, j
}

// What is appended while a sync is under way is not synced by it, and appending does
// not wait for it.
func TestAppendDuringSync(t *testing.T) {
	g, j := gated(t)
	add := func(b string) {
		if _, err := j.Append([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	add("one")
	first, second := make(chan error), make(chan error)
	go func() { first <- j.Sync() }()
	<-g.asked
	add("two")
	go func() { second <- j.Sync() }()
	g.let <- nil
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	select {
	case <-second:
		t.Fatal("the second sync is done, and the disk was not asked")
	case <-g.asked:
	}
	g.let <- nil
	if err := <-second; err != nil {
		t.Fatal(err)
	}
}

// Who waits behind a sync that fails is never told that all is well, whoever
// recovers meanwhile.
func TestSyncAndRecoverMeet(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			g, j := gated(t)
			add := func() {
				if _, err := j.Append([]byte("x")); err != nil {
					t.Error(err)
				}
			}
			add()
			failed := make(chan error)
			go func() { failed <- j.Sync() }()
			<-g.asked
			add()
			go func() {
				if err := j.Sync(); err == nil {
					t.Error("synced, and the disk was not asked")
				}
			}()
			go func() {
				if err := j.Recover(); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait() // both wait for the sync
			g.let <- syscall.EIO
			if err := <-failed; !errors.Is(err, syscall.EIO) {
				t.Error(err)
			}
		})
	}
}
