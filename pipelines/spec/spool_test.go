package spec

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// load writes the layers as files in folders of their own and loads them.
func loadLayers(t *testing.T, sets []string, layers ...string) *Pipeline {
	t.Helper()
	dir, paths := t.TempDir(), []string(nil)
	for i, text := range layers {
		path := filepath.Join(dir, string(rune('a'+i)), "pipeline.yaml")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	t.Chdir(dir)
	for i, p := range paths {
		paths[i], _ = filepath.Rel(dir, p)
	}
	p, err := Load(paths, sets, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const spooled = `
version: 1
name: crossing
streams:
  clip: { url: "file:clip.mp4", pace: fastest }
sinks:
  - { name: events, kind: kafka, brokers: ["localhost:9092"], topic: events, spool: {} }
  - { kind: jsonl, path: out.jsonl }
`

// The folder is beside the file that has the sink, wherever else keys of it come from.
func TestSpoolHasAFolderOfItsOwn(t *testing.T) {
	p := loadLayers(t, []string{"sinks.events.spool.sync=5ms"}, spooled,
		"sinks: [{ name: events, spool: { max: 1GiB, key_file: key } }]\n")
	got, dead := *p.Sinks[0].Spool, *p.Sinks[0].DeadLetter
	want := Spool{Path: filepath.Join("a", "spool", "events"), Max: 1 << 30, MaxAge: 168 * time.Hour, Sync: 5 * time.Millisecond,
		WhenFull: "block", KeyFile: filepath.Join("b", "key"), Memory: 64 << 20}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := (DeadLetter{Path: filepath.Join("a", "spool", "events", "dead-letters.jsonl"), Max: 64 << 20, Tries: 10}); dead != want {
		t.Errorf("got %+v, want %+v", dead, want)
	}
	if p.Sinks[1].Spool != nil || p.Sinks[1].DeadLetter != nil {
		t.Errorf("a sink without a spool got %+v %+v", p.Sinks[1].Spool, p.Sinks[1].DeadLetter)
	}
}

func TestSpoolDropsTheOldestWhereCamerasAre(t *testing.T) {
	p := loadLayers(t, []string{"streams.gate.url=rtsp://10.0.0.3/main", "sinks.jsonl.dead_letter.tries=3"}, spooled)
	if got := p.Sinks[0].Spool.WhenFull; got != "drop_oldest" {
		t.Errorf("when_full is %s", got)
	}
	if got, want := p.Sinks[1].DeadLetter.Path, filepath.Join("a", "spool", "jsonl", "dead-letters.jsonl"); got != want {
		t.Errorf("dead letters go to %s, want %s", got, want)
	}
}
