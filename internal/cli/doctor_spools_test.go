package cli

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightline/pipelines/spec"
	"sightline/sink"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

// doctorsView is what doctor says of the only sink's spool.
func doctorsView(t *testing.T, folder, keys string) finding {
	t.Helper()
	text := "version: 1\nname: x\nstreams: { gate: { url: 'rtsp://127.0.0.1/x' } }\n" +
		"sinks: [{ name: events, kind: kafka, brokers: ['127.0.0.1:1'], topic: t, spool: { max: 1MiB" + keys + " } }]\n"
	p, err := spec.Parse(filepath.Join(folder, "pipeline.yaml"), []byte(text), nil, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	found := examineSpools(p)
	if len(found) == 0 || found[0].Part != "spool events" {
		t.Fatalf("found %+v", found)
	}
	return found[0]
}

// leave puts n events into the spool of a folder, and dead letters beside them.
func leave(t *testing.T, folder string, n int) {
	t.Helper()
	path := filepath.Join(folder, "spool", "events")
	q, err := spool.Open(spool.Config{Path: path, Max: 1 << 20}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := q.Append(t.Context(), sinktest.Record("gate", uint64(i+1)).Event, sink.Route{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Release(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "dead-letters.jsonl"), []byte("{}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorLooksAtSpools(t *testing.T) {
	folder := t.TempDir()
	if f := doctorsView(t, folder, ""); !f.OK || !strings.Contains(f.Found, "empty") || !strings.Contains(f.Found, "free on the disk") {
		t.Errorf("before the first run: %+v", f)
	}
	leave(t, folder, 20)
	if f := doctorsView(t, folder, ""); !f.OK || !strings.Contains(f.Found, "1 file") || !strings.Contains(f.Found, "20 entries") {
		t.Errorf("20 wait: %+v", f)
	}
	if f := doctorsView(t, folder, ", key_file: none"); f.OK || !f.Need || !strings.Contains(f.Todo, "openssl rand -hex 32") {
		t.Errorf("without its key: %+v", f)
	}
	files, err := filepath.Glob(filepath.Join(folder, "spool", "events", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if text, err := os.ReadFile(path); err == nil && len(text) > 1000 {
			text[len(text)/2] ^= 1
			os.WriteFile(path, text, 0o600)
		}
	}
	if f := doctorsView(t, folder, ""); f.OK || f.Need || !strings.Contains(f.Todo, "damaged at byte") {
		t.Errorf("a bit is flipped: %+v", f)
	}
}

func TestDoctorCountsDeadLetters(t *testing.T) {
	folder := t.TempDir()
	leave(t, folder, 1)
	text := "version: 1\nname: x\nstreams: { gate: { url: 'rtsp://127.0.0.1/x' } }\n" +
		"sinks: [{ name: events, kind: jsonl, path: '-', spool: {} }]\n"
	p, err := spec.Parse(filepath.Join(folder, "pipeline.yaml"), []byte(text), nil, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	found := examineSpools(p)
	if len(found) != 2 || found[1].Part != "dead letters events" || !strings.HasPrefix(found[1].Found, "2 events") {
		t.Errorf("found %+v", found)
	}
}

// What run refuses, doctor does not call well.
func TestDoctorMissesTheKeyOfAnEncryptedSpool(t *testing.T) {
	folder := t.TempDir()
	for name, digit := range map[string]string{"first.key": "1", "second.key": "2"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(strings.Repeat(digit, 64)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q, err := spool.Open(spool.Config{Path: filepath.Join(folder, "spool", "events"), Max: 1 << 20, Key: bytes.Repeat([]byte{0x11}, 32)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Append(t.Context(), sinktest.Record("gate", 1).Event, sink.Route{}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Release(); err != nil {
		t.Fatal(err)
	}
	if f := doctorsView(t, folder, ", key_file: first.key"); !f.OK {
		t.Errorf("with its key: %+v", f)
	}
	for _, keys := range []string{"", ", key_file: second.key"} {
		f := doctorsView(t, folder, keys)
		if f.OK || !f.Need || !strings.Contains(f.Todo, "give it the key_file that it was written with") || strings.Contains(f.Found, "empty") {
			t.Errorf("with%s: %+v", keys, f)
		}
	}
}

func TestDoctorSaysWhereASpoolCannotBe(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "spool"), nil, 0o600); err != nil { // a file where the folder belongs
		t.Fatal(err)
	}
	if f := doctorsView(t, folder, ""); f.OK || !f.Need || !strings.Contains(f.Todo, "not a directory") {
		t.Errorf("%+v", f)
	}
}
