package jsonl

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/sink"
	"sightline/sink/sinktest"
)

// clock is set by the test.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func rotating(dir string, r Rotate) Config {
	return Config{Path: filepath.Join(dir, "events.jsonl"), Fsync: FsyncBatch, Rotate: &r}
}

// all is the text of every file, the oldest first, as zcat and cat read it.
func all(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		if !strings.HasSuffix(name, ".gz") {
			out.Write(contents(t, path))
			continue
		}
		text, err := exec.Command("gzip", "-dc", path).Output()
		if err != nil {
			t.Fatalf("gzip -dc %s: %v", name, err)
		}
		out.Write(text)
	}
	return out.Bytes()
}

// names lists the folder, the file that is being written last.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.SortFunc(out, func(a, b string) int {
		return strings.Compare(strings.Replace(a, "events.jsonl", "events~", 1), strings.Replace(b, "events.jsonl", "events~", 1))
	})
	return out
}

func TestRotationContract(t *testing.T) {
	for _, compress := range []string{Plain, Gzip} {
		t.Run(compress, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Destination {
				dir := filepath.Join(t.TempDir(), "logs")
				cfg := rotating(dir, Rotate{Size: 5000, Compress: compress})
				return sinktest.Destination{
					Open: func(t *testing.T) sink.Sink { return opened(t, cfg) },
					Read: func(t *testing.T, _ int) []sinktest.Arrival { return arrivals(t, all(t, dir)) },
					Break: func(t *testing.T) (mend func()) {
						return hide(t, dir)
					},
				}
			})
		})
	}
}

// hide puts a file where the folder is, until it is mended.
func hide(t *testing.T, dir string) (mend func()) {
	t.Helper()
	if err := errors.Join(os.Rename(dir, dir+"-away"), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(dir), os.Rename(dir+"-away", dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// What went into a file before the next one could not be made is delivered.
func TestFailureBetweenTwoFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	calls := 0
	var mend func()
	s := opened(t, rotating(dir, Rotate{Size: 5000, Compress: Plain, now: func() time.Time {
		if calls++; calls == 3 {
			mend = hide(t, dir)
		}
		return time.Now()
	}}))
	err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 60))
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !ok || len(partial.Failed) == 0 || len(partial.Failed) == 60 {
		t.Fatalf("got %v", err)
	}
	mend()
	if got := arrivals(t, all(t, dir)); len(got) != partial.Failed[0] {
		t.Errorf("%d events are there, and %d are said to be", len(got), partial.Failed[0])
	}
}

func TestSizeIsKept(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, rotating(dir, Rotate{Size: 5000, Compress: Plain}))
	for n := range uint64(20) {
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1+n*7, 7)); err != nil {
			t.Fatal(err)
		}
	}
	files := names(t, dir)
	for _, name := range files {
		if n := len(contents(t, filepath.Join(dir, name))); n > 5000 || n == 0 {
			t.Errorf("%s has %d bytes", name, n)
		}
	}
	if got := arrivals(t, all(t, dir)); len(got) != 140 || len(files) < 15 {
		t.Errorf("%d events in %v", len(got), files)
	}
	tiny := rotating(t.TempDir(), Rotate{Size: 4096, Compress: Plain})
	big := sinktest.Records([]string{"a"}, 1, 2)
	big[0].Event.Data.Stream.Title = strings.Repeat("x", 9000)
	if err := opened(t, tiny).Publish(t.Context(), big); err != nil {
		t.Errorf("an event larger than a file: %v", err)
	}
}

// Files end at multiples of `every` of the wall clock, in UTC; what was written before
// a restart belongs to the time it was written at.
func TestTimeEndsFiles(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Date(2026, 11, 23, 9, 59, 59, 0, time.FixedZone("CET", 3600))}
	cfg := rotating(dir, Rotate{Every: time.Hour, Compress: Plain, now: c.now})
	s := opened(t, cfg)
	n := uint64(0)
	write := func() {
		t.Helper()
		n++
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, n, 1)); err != nil {
			t.Fatal(err)
		}
	}
	write()
	c.at = c.at.Add(2 * time.Second)
	write()
	write()
	c.at = c.at.Add(-3 * time.Second) // the clock was set back: no reason to end anything
	write()
	s.Close(t.Context())
	written := c.at.Add(time.Minute)
	if err := os.Chtimes(cfg.Path, written, written); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(25 * time.Hour)
	s = opened(t, cfg)
	write()
	want := []string{"events-2026-11-23T09-00-01Z.jsonl", "events-2026-11-24T09-59-58Z.jsonl", "events.jsonl"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if got := arrivals(t, all(t, dir)); len(got) != 5 {
		t.Errorf("%d of 5 events", len(got))
	}
}

func TestOldestAreRemovedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	foreign := []string{"events-2026.jsonl", "events-2026-11-23T09-00-01Z.txt", "events-2026-11-23T09-00-01Z_x.jsonl", "events-2026-11-23T09-00-01Z_1.jsonl", "events-notes.jsonl.gz", "other-2026-11-23T09-00-01Z.jsonl"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &clock{time.Date(2026, 11, 23, 9, 0, 1, 0, time.UTC)}
	s := opened(t, rotating(dir, Rotate{Size: 4096, Keep: 3, Compress: Gzip, now: c.now}))
	for n := range uint64(40) { // many within one second
		if n == 20 {
			c.at = c.at.Add(time.Hour)
		}
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1+n*5, 5)); err != nil {
			t.Fatal(err)
		}
	}
	got := slices.DeleteFunc(names(t, dir), func(name string) bool { return slices.Contains(foreign, name) })
	if len(got) != 4 || !strings.HasPrefix(got[0], "events-2026-11-23T10-00-01Z_") {
		t.Errorf("files %v", got)
	}
	for _, name := range foreign {
		if string(contents(t, filepath.Join(dir, name))) != "mine" {
			t.Errorf("%s was touched", name)
		}
	}
}

// A crash while a file is compressed leaves it whole; it is compressed later.
func TestCompressionAfterACrash(t *testing.T) {
	dir := t.TempDir()
	cfg := rotating(dir, Rotate{Size: 1 << 20, Compress: Gzip})
	s := opened(t, cfg)
	big := sinktest.Records([]string{"a"}, 1, 5000)
	for _, r := range big[:4000] {
		r.Event.Data.Stream.Title = strings.Repeat("x", 3000) // so that there is more than one portion
	}
	cfg.Rotate.Size = 6 << 20
	s.Close(t.Context())
	s = opened(t, cfg)
	if err := s.Publish(t.Context(), big[:2500]); err != nil {
		t.Fatal(err)
	}
	if f := s.out.(*file); f.turns.job == nil {
		t.Fatal("nothing is being compressed")
	}
	s.out.(*file).leave() // as a crash does: the work is not given up in good order
	left := names(t, dir)
	if !slices.ContainsFunc(left, func(name string) bool { return strings.HasSuffix(name, ".gz.tmp") }) {
		t.Fatalf("left: %v", left)
	}
	s = opened(t, cfg)
	for n := 2500; ; n++ {
		if err := s.Publish(t.Context(), big[n:n+1]); err != nil {
			t.Fatal(err)
		}
		if s.out.(*file).turns.idle {
			break
		}
	}
	for _, name := range names(t, dir) {
		if !strings.HasSuffix(name, ".jsonl.gz") && name != "events.jsonl" {
			t.Errorf("%s is there", name)
		}
	}
	got := arrivals(t, all(t, dir))
	for i, a := range got {
		if a.Sequence != uint64(i+1) {
			t.Fatalf("event %d is the %dth", a.Sequence, i+1)
		}
	}
	if len(got) < 2500 {
		t.Errorf("%d events", len(got))
	}
}

// What logrotate and people do to the file: nothing is lost that came before or after.
func TestOthersMoveTheFile(t *testing.T) {
	for name, move := range map[string]func(path string) error{
		"renamed": func(path string) error { return os.Rename(path, path+".1") },
		"renamed, made": func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		},
		"removed":     os.Remove,
		"folder gone": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"emptied":     func(path string) error { return os.Truncate(path, 0) }, // copytruncate
		"cut short":   func(path string) error { return os.Truncate(path, 100) },
		"appended to": func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString(`{"specversion":"1.0","id":"half`)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "logs", "events.jsonl")
			s := opened(t, Config{Path: path, Fsync: FsyncRotate})
			for n := range uint64(3) {
				if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1+n*2, 2)); err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					if err := move(path); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := arrivals(t, contents(t, path))
			if old, err := os.ReadFile(path + ".1"); err == nil {
				got = append(arrivals(t, old), got...)
			}
			if len(got) < 4 || got[len(got)-4].Sequence != 3 || got[len(got)-1].Sequence != 6 || strings.HasPrefix(name, "renamed") && len(got) != 6 {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A file that cannot be ended goes on.
func TestFileThatCannotBeEndedGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, rotating(dir, Rotate{Size: 4096, Compress: Plain}))
	s.out.(*file).turns.path = filepath.Join(dir, "nowhere", "events.jsonl")
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 20)); err != nil {
		t.Fatal(err)
	}
	if got := arrivals(t, contents(t, filepath.Join(dir, "events.jsonl"))); len(got) != 20 {
		t.Errorf("%d of 20 events", len(got))
	}
}

func TestRotateIsValidated(t *testing.T) {
	for want, r := range map[string]Rotate{
		"rotate: want size or every": {Compress: Plain}, "rotate.size: less": {Size: 5, Compress: Plain}, "rotate.every: less": {Every: time.Millisecond, Compress: Plain},
		"rotate.keep: negative": {Size: 1 << 20, Keep: -1, Compress: Plain}, `rotate.compress: "zip"`: {Size: 1 << 20, Compress: "zip"},
	} {
		if err := rotating("x", r).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	out := Config{Path: Stdout, Stdout: os.Stdout, Fsync: "often", Rotate: &Rotate{Size: 1 << 20, Compress: Plain}}
	if err := out.Validate(); err == nil || !strings.Contains(err.Error(), "standard output is no file") || !strings.Contains(err.Error(), `fsync: "often"`) {
		t.Errorf("got %v", err)
	}
}

func FuzzNameOfOurs(f *testing.F) {
	f.Add("2026-11-23T09-00-01Z.jsonl")
	f.Add("2026-11-23T09-00-01Z_0002.jsonl.gz")
	f.Add("2026-11-23T09-00-01Z_1.jsonl")
	f.Fuzz(func(t *testing.T, name string) {
		if ofOurs(name, ".jsonl") && !fs.ValidPath(name) {
			t.Errorf("%q is taken for a file of ours", name)
		}
	})
}
