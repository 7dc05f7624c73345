package pipelines

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sightline/detect"
)

// spooledSquare is the sample pipeline with three sinks: one on a spool that writes
// a file, one on a spool whose broker is not there, one that takes one type.
func spooledSquare(t *testing.T, folder string) string {
	return strings.Split(square(t, reproducible+", fps: 5, input: 256x192", "", 2), "sinks:")[0] + fmt.Sprintf(`sinks:
  - { name: file, kind: jsonl, path: '%[1]s/file.jsonl', types: [%[2]s], spool: { path: '%[1]s/spool/file', sync: 5ms } }
  - { name: away, kind: kafka, brokers: ["127.0.0.1:1"], topic: events, spool: { path: '%[1]s/spool/away', sync: 0s } }
  - { name: few, kind: jsonl, path: '%[1]s/few.jsonl', types: [line.crossed] }
drain_timeout: 60s
`, folder, everything)
}

// TestLedgerOfAPipelineIsRight compares the accounts of a whole pipeline with counts
// made beside it: of the events that were made, and of the lines that arrived.
func TestLedgerOfAPipelineIsRight(t *testing.T) {
	folder := t.TempDir()
	first := playSpooled(t, folder)
	second := playSpooled(t, folder)
	for _, name := range []string{"cam0", "cam1"} {
		l := second.p.sinkLedgers(name)["away"]
		left := first.p.sinkLedgers(name)["away"].Spooled
		made := second.made[name] - second.detections[name]
		if l.Recovered != left || left == 0 || l.Spooled != left+made || l.Made != left+made+l.Filtered || l.Filtered != second.detections[name] {
			t.Errorf("%s: %d were left and %d are made: %+v", name, left, made, l)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "file.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int{} // numbers go on over both runs
	for line := range bytes.Lines(text) {
		e, n := read(t, line), 0
		fmt.Sscanf(e.Sequence, "%d", &n)
		if n != last[e.Source]+1 {
			t.Fatalf("%s: sequence %d after %d", e.Source, n, last[e.Source])
		}
		last[e.Source] = n
	}
	for source, n := range last {
		name := strings.TrimPrefix(source, "/sightline/square/")
		if want := first.made[name] + second.made[name]; uint64(n) != want {
			t.Errorf("%s: %d lines, %d events were made", source, n, want)
		}
	}
}

type spooledRun struct {
	p                         *Pipeline
	made, detections, crossed map[string]uint64 // by stream, as OnEvent was told
}

func playSpooled(t *testing.T, folder string) spooledRun {
	t.Helper()
	run := spooledRun{made: map[string]uint64{}, detections: map[string]uint64{}, crossed: map[string]uint64{}}
	var mu sync.Mutex
	var log bytes.Buffer
	o := parts(t)
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.Source = cutFile(t, 240)
	o.OnEvent = func(ev *detect.Event) {
		mu.Lock()
		defer mu.Unlock()
		run.made[ev.Stream]++
		switch ev.Type {
		case detect.Detections:
			run.detections[ev.Stream]++
		case detect.LineCrossed:
			run.crossed[ev.Stream]++
		}
	}
	run.p = build(t, spooledSquare(t, folder), o)
	if err := run.p.Run(t.Context()); err != nil {
		t.Fatalf("what waits in a spool is no failure: %v", err)
	}
	if !strings.Contains(log.String(), "events wait in the spool for the next run") || !strings.Contains(log.String(), "sink=away") {
		t.Errorf("nothing says what waits where: %s", log.String())
	}
	for name, made := range run.made {
		sinks := run.p.sinkLedgers(name)
		for sink, l := range sinks {
			if out := l.Filtered + l.Acknowledged + l.Spooled + l.DeadLettered + l.Expired + sum(l.Dropped); out != l.Made || l.Made != made+l.Recovered {
				t.Errorf("%s, sink %s: %d events were made, %d accounted for: %+v", name, sink, made, out, l)
			}
		}
		if l := sinks["file"]; l.Acknowledged != made {
			t.Errorf("%s: %d of %d events in the file", name, l.Acknowledged, made)
		}
		if l := sinks["few"]; l.Acknowledged == 0 || l.Acknowledged != run.crossed[name] || l.Filtered != made-run.crossed[name] {
			t.Errorf("%s: %d crossings: %+v", name, run.crossed[name], l)
		}
	}
	if len(run.made) < 2 || run.crossed["cam0"] == 0 {
		t.Errorf("made %v, crossings %v", run.made, run.crossed)
	}
	return run
}
