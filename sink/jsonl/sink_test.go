package jsonl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sightline/internal/testkit/events"
	"sightline/sink"
	"sightline/sink/sinktest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func opened(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// arrivals parses every line; half a line anywhere fails the test, and so does an
// event that the schema does not describe.
func arrivals(t *testing.T, text []byte) []sinktest.Arrival {
	t.Helper()
	events.ValidateLines(t, text)
	var out []sinktest.Arrival
	for line := range bytes.Lines(text) {
		var ev struct{ ID, PartitionKey, Sequence string }
		if err := json.Unmarshal(line, &ev); err != nil {
			t.Fatalf("a line is not a JSON object: %v: %s", err, line)
		}
		n, err := strconv.ParseUint(ev.Sequence, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sinktest.Arrival{Key: ev.PartitionKey, Sequence: n, ID: ev.ID, Body: string(bytes.TrimSuffix(line, []byte("\n")))})
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Fatalf("ends in half a line: %s", text)
	}
	return out
}

func TestFileContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		path := filepath.Join(t.TempDir(), "new", "folder", "events.jsonl")
		return sinktest.Destination{
			Open: func(t *testing.T) sink.Sink { return opened(t, Config{Fsync: FsyncRotate, Path: path}) },
			Read: func(t *testing.T, _ int) []sinktest.Arrival { return arrivals(t, contents(t, path)) },
			Break: func(t *testing.T) (mend func()) {
				return limitFileSize(t, 5000) // less than one batch, so that it tears
			},
		}
	})
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// limitFileSize makes writes beyond n bytes fail after a part, as a full disk does. The
// test binary's own log of opened files is held to it, too: tests that open many come
// after those that use this.
func limitFileSize(t *testing.T, n uint64) (lift func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(unix.SIGXFSZ)
	}
	t.Cleanup(lift)
	return lift
}

// torn writes to a buffer, stopping after limit bytes of a call while limit is set.
type torn struct {
	bytes.Buffer
	limit int
}

func (w *torn) Write(p []byte) (int, error) {
	if w.limit == 0 || len(p) <= w.limit {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:w.limit])
	return n, errors.New("no room")
}

func TestStreamContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		w := &torn{}
		return sinktest.Destination{
			Open: func(t *testing.T) sink.Sink { return opened(t, Config{Fsync: FsyncRotate, Path: Stdout, Stdout: w}) },
			Read: func(t *testing.T, _ int) []sinktest.Arrival { return arrivals(t, w.Bytes()) },
			Break: func(t *testing.T) (mend func()) {
				w.limit = 1234
				return func() { w.limit = 0 }
			},
		}
	})
}

func TestFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	for first := range uint64(3) {
		s := opened(t, Config{Fsync: FsyncRotate, Path: path})
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, first+1, 1)); err != nil {
			t.Fatal(err)
		}
		s.Close(t.Context())
	}
	if got := arrivals(t, contents(t, path)); len(got) != 3 || got[2].Sequence != 3 {
		t.Errorf("got %v", got)
	}
}

// A crash in the middle of a write leaves half a line; the next run's first event
// must not be glued to it.
func TestHalfALineOfACrashIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	whole, err := sink.AppendStructured(nil, sinktest.Record("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []string{"{", `{"specversion":"1.0","id":"a-`, string(whole[:len(whole)-1])} {
		if err := os.WriteFile(path, append(append(bytes.Clone(whole), '\n'), half...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := opened(t, Config{Fsync: FsyncRotate, Path: path})
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 1)); err != nil {
			t.Fatal(err)
		}
		s.Close(t.Context())
		if got := arrivals(t, contents(t, path)); len(got) != 2 || got[1].Sequence != 2 {
			t.Errorf("after %q: %v", half, got)
		}
	}
}

func TestRefusesFilesThatAreNotItsOwn(t *testing.T) {
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(notes, []byte("my notes, without a line feed"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(dir, "used.jsonl")
	opened(t, Config{Fsync: FsyncRotate, Path: used})
	for path, want := range map[string]string{
		notes:                           "does not end with a line of events",
		used:                            "is being written by another",
		dir:                             "is a directory",
		filepath.Join(notes, "e.jsonl"): "make the folder of",
	} {
		_, err := New(Config{Fsync: FsyncRotate, Path: path}, quiet())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if got := string(contents(t, notes)); got != "my notes, without a line feed" {
		t.Errorf("the notes are now %q", got)
	}
}

func TestFullDeviceIsAnErrorThatNamesIt(t *testing.T) {
	err := opened(t, Config{Fsync: FsyncRotate, Path: "/dev/full"}).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 2))
	var partial *sink.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 2 || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "/dev/full") {
		t.Errorf("got %v", err)
	}
}

// A reader that has stopped reading must not hold up the end of the program; and it
// gets whole lines when it goes on.
func TestContextEndsAWriteThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := opened(t, Config{Fsync: FsyncRotate, Path: Stdout, Stdout: w})
	records := sinktest.Records([]string{"a", "b"}, 1, 200) // more than a pipe holds
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = s.Publish(ctx, records)
	var partial *sink.PartialError
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &partial) || len(partial.Failed) == 0 || len(partial.Failed) == len(records) {
		t.Fatalf("got %v", err)
	}
	text := make(chan []byte)
	go func() {
		all, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		text <- all
	}()
	if err := s.Publish(t.Context(), records[partial.Failed[0]:]); err != nil {
		t.Fatal(err)
	}
	s.Close(t.Context())
	w.Close()
	seen := map[string]bool{}
	for _, a := range arrivals(t, <-text) {
		seen[a.ID] = true
	}
	if len(seen) != len(records) {
		t.Errorf("%d of %d events arrived", len(seen), len(records))
	}
}

// `sightline run … | head -1`: nobody will ever read the rest.
func TestStandardOutputWithoutReaderRefusesForGood(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := opened(t, Config{Fsync: FsyncRotate, Path: Stdout, Stdout: w})
	r.Close()
	err = s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 2))
	var partial *sink.PartialError
	if !errors.As(err, &partial) || !slices.Equal(partial.Refused, []int{0, 1}) || partial.Failed != nil || !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v", err)
	}
}

func TestNamedPipeWithoutReaderIsTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := opened(t, Config{Fsync: FsyncRotate, Path: path})
	r.Close()
	err = s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 2))
	var partial *sink.PartialError
	if !errors.As(err, &partial) || !slices.Equal(partial.Failed, []int{0, 1}) || partial.Refused != nil {
		t.Errorf("got %v", err)
	}
}

func TestStandardOutputIsLeftOpen(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := opened(t, Config{Fsync: FsyncRotate, Path: Stdout, Stdout: w})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("still open\n"); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{{Fsync: FsyncRotate}, {Path: Stdout, Fsync: FsyncBatch}} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "path: ") {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	ok := Defaults()
	ok.Path = Stdout
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
}
