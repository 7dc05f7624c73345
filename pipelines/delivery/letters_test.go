package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/sink"
	"sightline/sink/sinktest"
)

func letters(t testing.TB, from, n int) (out []letter) {
	t.Helper()
	for i := range n {
		r := sinktest.Record("gate", uint64(from+i))
		r.Route = sink.Route{Topic: "events", Key: "hq"}
		l, err := newLetter("kafka", r, 3, errors.New("too large"), time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// readLetters reads a file of dead letters back; all its lines are whole.
func readLetters(t testing.TB, path string) (out []letter) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var l letter
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, l)
	}
	return out
}

// eventID reads the id of an event as structured CloudEvent.
func eventID(t testing.TB, text []byte) string {
	t.Helper()
	var ev struct{ ID string }
	if err := json.Unmarshal(text, &ev); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return ev.ID
}

func TestDeadLettersAreAppendedAfterHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool", "dead.jsonl")
	d := &letterFile{cfg: Letters{Path: path, Max: 1 << 20}, log: slog.New(slog.DiscardHandler)}
	if err := d.write(letters(t, 1, 2)); err != nil {
		t.Fatal(err)
	}
	d.close()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"time": "` + strings.Repeat("x", 100_000)) // a crash
	f.Close()
	if err := d.write(letters(t, 3, 1)); err != nil {
		t.Fatal(err)
	}
	d.close()
	got := readLetters(t, path)
	if len(got) != 3 {
		t.Fatalf("%d letters, want 3", len(got))
	}
	for i, l := range got {
		id := sinktest.Record("gate", uint64(i+1)).Event.ID
		if l.Sink != "kafka" || l.Reason != "too large" || l.Tries != 3 || l.Topic != "events" || l.Key != "hq" || eventID(t, l.Event) != id {
			t.Errorf("letter %d: %+v", i, l)
		}
	}
}

func TestDeadLettersKeepOneOlderFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	text, _ := json.Marshal(letters(t, 1, 1)[0])
	d := &letterFile{cfg: Letters{Path: path, Max: 3*int64(len(text)+1) + 1}, log: slog.New(slog.DiscardHandler)}
	for i := range 8 {
		if err := d.write(letters(t, i+1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	d.close()
	if older, newer := readLetters(t, path+".1"), readLetters(t, path); len(older) != 3 || len(newer) != 2 || d.lost != 3 {
		t.Errorf("%d letters, %d before them, %d gone; want 2, 3 and 3", len(newer), len(older), d.lost)
	}
}

func TestDeadLettersThatCannotBeWrittenAreTriedAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // a file where the folder belongs
		t.Fatal(err)
	}
	d := &letterFile{cfg: Letters{Path: filepath.Join(folder, "dead.jsonl"), Max: 1 << 20}, log: slog.New(slog.DiscardHandler)}
	if err := d.write(letters(t, 1, 1)); err == nil || !strings.Contains(err.Error(), "dead.jsonl") {
		t.Fatalf("got %v", err)
	}
	os.Remove(folder)
	if err := d.write(letters(t, 2, 1)); err != nil {
		t.Fatal(err)
	}
	d.close()
	if got := readLetters(t, d.cfg.Path); len(got) != 1 {
		t.Errorf("%d letters, want the second alone", len(got))
	}
}

func TestDeadLetterBoundsWhatAPeerSays(t *testing.T) {
	l, err := newLetter("kafka", sinktest.Record("gate", 1), 1, errors.New(strings.Repeat("ü", 600)+"\xff"), time.Unix(1, 0))
	if err != nil || len(l.Reason) != maxReason {
		t.Errorf("%d bytes, %v", len(l.Reason), err)
	}
}
