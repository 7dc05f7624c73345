package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func mustOpen(t testing.TB, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

func check(t testing.TB, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// text is the entry of an index in these tests.
func text(index uint64) []byte {
	return fmt.Appendf(nil, "entry %d %s", index, bytes.Repeat([]byte("x"), int(index*7%90)))
}

// fill appends and syncs n entries, in groups.
func fill(t testing.TB, j *Journal, n int) {
	t.Helper()
	for i := 0; i < n; {
		var group [][]byte
		next := j.Stats().Last + 1
		for ; len(group) < 5 && i < n; i++ {
			group = append(group, text(next+uint64(len(group))))
		}
		first, err := j.Append(group...)
		check(t, "append", err)
		if first != next {
			t.Fatalf("appended at %d, want %d", first, next)
		}
		check(t, "sync", j.Sync())
	}
}

// contents is what Scan finds: texts, and runs that are lost.
func contents(t testing.TB, j *Journal, from uint64) (got map[uint64]string, lost []string) {
	t.Helper()
	got = map[uint64]string{}
	last := uint64(0)
	check(t, "scan", j.Scan(from, func(index uint64, entry []byte, err error) error {
		if index <= last {
			t.Fatalf("index %d after %d", index, last)
		}
		last = index
		if err == nil {
			got[index] = string(entry)
			return nil
		}
		var l *LostError
		if !errors.As(err, &l) || !errors.Is(err, ErrCorrupt) || l.First != index {
			return err
		}
		lost, last = append(lost, fmt.Sprintf("%d-%d", l.First, l.Last)), l.Last
		return nil
	}))
	return got, lost
}

func want(from, to uint64) map[uint64]string {
	w := map[uint64]string{}
	for i := from; i <= to; i++ {
		w[i] = string(text(i))
	}
	return w
}

func testKey() []byte { return bytes.Repeat([]byte{7}, 32) }

func TestAppendReadReopen(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": testKey()} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Path: filepath.Join(t.TempDir(), "a", "b"), Segment: 2000, Key: key}
			for round := range uint64(4) {
				j := mustOpen(t, cfg)
				fill(t, j, 50)
				n := round*52 + 51
				first, err := j.Append(text(n), []byte{}) // the last may be empty
				check(t, "append", err)
				for i, w := range map[uint64]string{1: string(text(1)), n - 20: string(text(n - 20)), n: string(text(n)), n + 1: ""} { // on disk and in memory
					if b, err := j.Read(i); err != nil || string(b) != w {
						t.Errorf("entry %d is %q, %v, want %q", i, b, err, w)
					}
				}
				for _, i := range []uint64{0, first + 2, 1 << 60} {
					if _, err := j.Read(i); !errors.Is(err, ErrNotFound) {
						t.Errorf("read %d: %v, want ErrNotFound", i, err)
					}
				}
				check(t, "close", j.Close())
				j = mustOpen(t, cfg)
				if st := j.Stats(); st.First != 1 || st.Last != n+1 || len(st.Damage) > 0 {
					t.Errorf("after %d rounds: %+v", round+1, st)
				}
				expect := want(1, n+1)
				for i := uint64(52); i <= n+1; i += 52 {
					expect[i] = ""
				}
				if got, lost := contents(t, j, 1); !cmp.Equal(got, expect) || lost != nil {
					t.Errorf("%s, lost %v", cmp.Diff(expect, got), lost)
				}
				check(t, "close", j.Close())
			}
			sealed := true
			files, _ := filepath.Glob(filepath.Join(cfg.Path, "*"))
			for _, f := range files {
				b, err := os.ReadFile(f)
				check(t, "read the file", err)
				sealed = sealed && !bytes.Contains(b, []byte("entry"))
				for path, want := range map[string]fs.FileMode{f: 0o600, cfg.Path: 0o700, filepath.Dir(cfg.Path): 0o700} {
					if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
						t.Errorf("%s is open to others: %v, %v", path, info, err)
					}
				}
			}
			if sealed != (key != nil) || len(files) < 5 {
				t.Errorf("%d files, their texts hidden: %v", len(files), sealed)
			}
		})
	}
}

func TestReleaseKeepsIndices(t *testing.T) {
	cfg := Config{Path: t.TempDir(), Segment: 1000}
	other := filepath.Join(cfg.Path, "dead-letters.jsonl")
	check(t, "write another file", os.WriteFile(other, []byte("{}\n"), 0o600))
	j := mustOpen(t, cfg)
	if st := j.Stats(); st.First != 1 || st.Last != 0 || st.Files != 0 {
		t.Errorf("a new journal: %+v", st)
	}
	fill(t, j, 100)
	before := j.Stats()
	check(t, "release", j.Release(60))
	st := j.Stats()
	if st.First > 60 || st.First < 40 || st.Last != 100 || st.Files >= before.Files || st.Bytes >= before.Bytes {
		t.Errorf("released up to 60: %+v, before %+v", st, before)
	}
	if got, lost := contents(t, j, 60); !cmp.Equal(got, want(60, 100)) || lost != nil {
		t.Errorf("after release: %s, lost %v", cmp.Diff(want(60, 100), got), lost)
	}
	check(t, "release all", j.Release(1<<62))
	if st := j.Stats(); st.Files != 1 || st.Last != 100 {
		t.Errorf("all released: %+v", st)
	}
	for range 3 {
		check(t, "close", j.Close())
		j = mustOpen(t, cfg)
		if st := j.Stats(); st.Last != 100 || st.Files != 1 {
			t.Errorf("reopened: %+v", st)
		}
	}
	fill(t, j, 1)
	if st := j.Stats(); st.Last != 101 || st.First > 101 {
		t.Errorf("one more: %+v", st)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	cfg := Config{Path: t.TempDir()}
	j := mustOpen(t, cfg)
	fill(t, j, 3)
	_, err := Open(cfg, quiet())
	if !errors.Is(err, ErrLocked) || !bytes.Contains([]byte(err.Error()), []byte(cfg.Path)) {
		t.Errorf("a second open: %v", err)
	}
	r, err := Inspect(cfg)
	check(t, "inspect what is locked", err)
	if r.Last != 3 || r.Encrypted || len(r.Damage) > 0 {
		t.Errorf("report %+v", r)
	}
	check(t, "close", j.Close())
	mustOpen(t, cfg)
}

func TestKey(t *testing.T) {
	cfg := Config{Path: t.TempDir()}
	j := mustOpen(t, cfg)
	fill(t, j, 3)
	check(t, "close", j.Close())
	cfg.Key = testKey() // from now on
	j = mustOpen(t, cfg)
	fill(t, j, 3)
	if got, _ := contents(t, j, 1); !cmp.Equal(got, want(1, 6)) {
		t.Error(cmp.Diff(want(1, 6), got))
	}
	check(t, "close", j.Close())
	for name, key := range map[string][]byte{"none": nil, "another": bytes.Repeat([]byte{8}, 32)} {
		bad := cfg
		bad.Key = key
		if _, err := Open(bad, quiet()); !errors.Is(err, ErrKey) {
			t.Errorf("key %s: %v", name, err)
		}
		r, err := Inspect(bad)
		if key == nil && (err != nil || !r.Encrypted || r.Last != 6 || len(r.Damage) > 0) {
			t.Errorf("inspect without key: %+v, %v", r, err)
		}
		if key != nil && !errors.Is(err, ErrKey) {
			t.Errorf("inspect with another key: %v", err)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for _, cfg := range []Config{{}, {Path: "x", Key: []byte("short")}, {Path: "x", Segment: -1}, {Path: "x", Segment: 2 << 30}} {
		if _, err := Open(cfg, quiet()); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	if _, err := Inspect(Config{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("inspect where nothing is: %v", err)
	}
}

func TestClosed(t *testing.T) {
	j := mustOpen(t, Config{Path: t.TempDir()})
	fill(t, j, 1)
	check(t, "close", j.Close())
	_, appended := j.Append([]byte("x"))
	_, read := j.Read(1)
	scanned := j.Scan(1, func(uint64, []byte, error) error { return nil })
	for i, err := range []error{appended, read, scanned, j.Sync(), j.Release(1), j.Recover(), j.Close()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
