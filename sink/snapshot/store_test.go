package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func newStore(t testing.TB, change func(*Config)) *Store {
	t.Helper()
	c := Defaults()
	c.Path = filepath.Join(t.TempDir(), "snapshots")
	if change != nil {
		change(&c)
	}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func id(n int) string { return fmt.Sprintf("5f1d7e2a-6f0c-5b1e-9d9c-%012x", n) }

var day = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func content(t testing.TB, s *Store, name string) string {
	t.Helper()
	f, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onDisk lists all files of a store.
func onDisk(t testing.TB, s *Store) (names []string) {
	t.Helper()
	err := filepath.WalkDir(s.cfg.Path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(s.cfg.Path, name)
			names = append(names, rel)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func TestStoreKeepsPictures(t *testing.T) {
	s := newStore(t, nil)
	name := Name(day.In(time.FixedZone("", -10*3600)), "gate", id(1))
	if want := "2026-01-02/gate/" + id(1) + ".jpg"; name != want {
		t.Fatalf("the name is %s, want %s", name, want)
	}
	for _, text := range []string{"a", "longer", "b"} { // a file that is played again
		if err := s.Put(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, s, name); got != text || s.Stats().Bytes != int64(len(text)) {
			t.Errorf("%q of %d bytes, want %q", got, s.Stats().Bytes, text)
		}
	}
	if files := onDisk(t, s); !slices.Equal(files, []string{name}) {
		t.Errorf("the folder holds %q", files)
	}
	if w, err := s.Waiting(); err != nil || len(w) != 0 {
		t.Errorf("without a bucket %q wait, %v", w, err)
	}
	s.Drop(name)
	s.Drop(name)
	if _, err := s.Open(name); !errors.Is(err, fs.ErrNotExist) || s.Stats().Bytes != 0 {
		t.Errorf("after Drop: %v, %d bytes", err, s.Stats().Bytes)
	}
}

// TestNoWayOutOfTheFolder tries what must never be opened, symbolic links included.
func TestNoWayOutOfTheFolder(t *testing.T) {
	s := newStore(t, nil)
	name := Name(day, "gate", id(1))
	if err := s.Put(name, []byte("a")); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := Name(day, "gate", id(2))
	if err := os.Symlink(outside, filepath.Join(s.cfg.Path, link)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(s.cfg.Path, "2026-01-02", "yard")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", ".", "..", "/etc/passwd", "../secret", outside, link, "2026-01-02/yard/secret", "2026-01-02/gate", "2026-01-02/gate/", "2026-01-02/../2026-01-02/gate/" + id(1) + ".jpg",
		"2026-01-02/gate/../gate/" + id(1) + ".jpg", "2026-01-02//gate/" + id(1) + ".jpg", "./" + name, name + "/", name + "\x00", name + ".part",
		"2026-01-02/gate/" + id(1), "2026-01-02\\gate\\" + id(1) + ".jpg", ".waiting/x", "2026-01-02/" + strings.Repeat("g", 64) + "/a.jpg", "%2e%2e/gate/a.jpg",
	} {
		if f, err := s.Open(bad); err == nil {
			f.Close()
			t.Errorf("%q was opened", bad)
		}
		if err := s.Put(bad, []byte("x")); err == nil && bad != link {
			t.Errorf("%q was written", bad)
		}
	}
	if b, _ := os.ReadFile(outside); string(b) != "hunter2" {
		t.Errorf("the file outside is now %q", b)
	}
}

func FuzzNames(f *testing.F) {
	f.Add("2026-01-02/gate/" + id(1) + ".jpg")
	f.Add("../../etc/passwd")
	f.Add("2026-01-02/gate/../x.jpg")
	f.Fuzz(func(t *testing.T, name string) {
		if !isName(name) {
			return
		}
		if !fs.ValidPath(name) || strings.Count(name, "/") != 2 || strings.ContainsAny(name, "~\\%.. ") && strings.Count(name, ".") != 1 {
			t.Errorf("%q passes as a name", name)
		}
		if got := ofMarker(strings.TrimPrefix(marker(name), waitingFolder+"/")); got != name {
			t.Errorf("%q waits as %q", name, got)
		}
	})
}

// TestAFailedPutLeavesNothing lets the disk fill and fail in every way there is.
func TestAFailedPutLeavesNothing(t *testing.T) {
	s := newStore(t, func(c *Config) { c.S3 = testBucket() })
	for _, cause := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		s.write = func(root *os.Root, name string, data []byte) error {
			if err := writeSynced(root, name, data[:len(data)/2]); err != nil { // some of it may have got there
				return err
			}
			root.Remove(name)
			return &fs.PathError{Op: "write", Path: name, Err: cause}
		}
		if err := s.Put(Name(day, "gate", id(1)), []byte("a picture")); !errors.Is(err, cause) {
			t.Errorf("%v, want %v", err, cause)
		}
	}
	s.write = writeSynced
	if err := os.WriteFile(filepath.Join(s.cfg.Path, waitingFolder), nil, 0o600); err != nil { // where the marker has to go
		t.Fatal(err)
	}
	if err := s.Put(Name(day, "gate", id(1)), []byte("a picture")); err == nil {
		t.Error("a picture that will never be copied was kept")
	}
	if files := onDisk(t, s); !slices.Equal(files, []string{waitingFolder}) || s.Stats().Bytes != 0 {
		t.Errorf("%q and %d bytes are left", files, s.Stats().Bytes)
	}
}

func TestAFolderThatCannotBe(t *testing.T) {
	s := newStore(t, nil)
	if err := os.WriteFile(s.cfg.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	name := Name(day, "gate", id(1))
	if err := s.Put(name, []byte("a")); err == nil {
		t.Error("it was written into a file")
	}
	if err := s.Sweep(t.Context(), day); err == nil {
		t.Error("it was swept")
	}
	if err := os.Remove(s.cfg.Path); err != nil { // whoever runs it sees to it
		t.Fatal(err)
	}
	if err := s.Put(name, []byte("a")); err != nil {
		t.Errorf("after that: %v", err)
	}
	if err := os.RemoveAll(s.cfg.Path); err != nil { // and removes everything
		t.Fatal(err)
	}
	if err := s.Put(name, []byte("a")); err != nil || content(t, s, name) != "a" {
		t.Errorf("in a folder that was removed: %v", err)
	}
}

func TestWaitingSurvivesRestarts(t *testing.T) {
	s := newStore(t, func(c *Config) { c.S3 = testBucket() })
	var names []string
	for n := range 3 {
		names = append(names, Name(day.AddDate(0, 0, n), "gate", id(n)))
		if err := s.Put(names[n], []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.cfg.Path, waitingFolder, "no picture"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := New(s.cfg, s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if w, err := again.Waiting(); err != nil || !slices.Equal(w, names) {
		t.Errorf("after a restart %q wait, %v", w, err)
	}
	for range 2 {
		if err := again.Sent(names[1]); err != nil {
			t.Error(err)
		}
	}
	if w, err := again.Waiting(); err != nil || !slices.Equal(w, []string{names[0], names[2]}) {
		t.Errorf("%q wait, %v", w, err)
	}
}

// fill puts n pictures of 1000 bytes, each written a minute after the last, and
// returns their names and when the last was written.
func fill(t *testing.T, s *Store, n int) (names []string, last time.Time) {
	t.Helper()
	for i := range n {
		name := Name(day.AddDate(0, 0, n-i), "gate", id(i)) // the events' own times do not count
		if err := s.Put(name, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		names, last = append(names, name), day.Add(time.Duration(i)*time.Minute)
		if err := os.Chtimes(filepath.Join(s.cfg.Path, name), last, last); err != nil {
			t.Fatal(err)
		}
	}
	return names, last
}

func TestSweepRemovesTheOldest(t *testing.T) {
	s := newStore(t, func(c *Config) { c.S3, c.Max, c.MaxAge = testBucket(), 10_000, time.Hour })
	names, last := fill(t, s, 25)
	for _, name := range names[5:] {
		if err := s.Sent(name); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Full() {
		t.Error("25 kB are not more than 10")
	}
	if err := s.Sweep(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Bytes != 9000 || st.Outgrown != 16 || st.Expired != 0 || st.Unsent != 5 || s.Full() { // a twentieth below
		t.Errorf("%+v", st)
	}
	for i, name := range names {
		f, err := s.Open(name)
		if (err == nil) != (i >= 16) {
			t.Errorf("picture %d: %v", i, err)
		}
		if err == nil {
			f.Close()
		}
	}
	if err := s.Sweep(t.Context(), last.Add(56*time.Minute+time.Second)); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Bytes != 4000 || st.Outgrown != 16 || st.Expired != 5 || st.Unsent != 5 {
		t.Errorf("an hour later: %+v", st)
	}
	folders, err := os.ReadDir(s.cfg.Path)
	if err != nil || len(folders) != 5 { // a day of each, and what waits
		t.Errorf("%d folders are left, %v", len(folders), err)
	}
}

// What cannot be removed is not counted as removed, ends no sweep early and makes none
// endless.
func TestSweepOfWhatCannotBeRemoved(t *testing.T) {
	s := newStore(t, func(c *Config) { c.MaxAge = time.Hour })
	names, last := fill(t, s, 2)
	root, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	stays := Name(day, "gate", id(9)) // a folder that is not empty: from root no rights keep a file
	if err := os.MkdirAll(filepath.Join(s.cfg.Path, stays, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := []file{{name: stays, size: 1}, {name: names[0], size: 1000}, {name: Name(day, "gate", id(10)), size: 1}}
	removed, err := s.thin(root, files, last)
	if removed != 1 || err == nil || !strings.Contains(err.Error(), id(9)) {
		t.Errorf("%d removed, %v", removed, err)
	}
	if st := s.Stats(); st != (Stats{Bytes: 1000, Expired: 1}) {
		t.Errorf("%+v", st)
	}
}

func TestSweepCountsWhatIsThereAndTidies(t *testing.T) {
	s := newStore(t, nil)
	names, last := fill(t, s, 3)
	for file, at := range map[string]time.Time{names[0] + partSuffix: last.Add(-2 * time.Hour), names[1] + partSuffix: last, "notes.txt": {}} {
		full := filepath.Join(s.cfg.Path, file)
		if err := errors.Join(os.WriteFile(full, []byte("xyz"), 0o600), os.Chtimes(full, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := New(s.cfg, s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Sweep(t.Context(), last); err != nil || again.Stats() != (Stats{Bytes: 3000}) {
		t.Errorf("%+v, %v", again.Stats(), err)
	}
	want := append(slices.Clone(names), names[1]+partSuffix, "notes.txt")
	slices.Sort(want)
	if files := onDisk(t, s); !slices.Equal(files, want) {
		t.Errorf("left are %q, want %q", files, want)
	}
}

// TestPutDuringSweeps has several write while the folders are emptied again and again.
func TestPutDuringSweeps(t *testing.T) {
	s := newStore(t, func(c *Config) { c.Max = 1 })
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := s.Sweep(t.Context(), time.Now()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for n := range 50 {
				if err := s.Put(Name(day.AddDate(0, 0, n%3), "gate", id(100*w+n)), []byte("ab")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	wg.Wait()
	if err := s.Sweep(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Bytes != 0 || st.Outgrown < 150 || len(onDisk(t, s)) != 0 {
		t.Errorf("%+v, left are %q", st, onDisk(t, s))
	}
}
