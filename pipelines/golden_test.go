package pipelines

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "record testdata anew")

// square is a pipeline with one of everything over a sample video; more streams
// are copies of the first.
func square(t testing.TB, detect, out string, streams int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: square\ndetect: { classes: [person], confidence: 0.4, %s }\nstreams:\n", detect)
	for i := range streams {
		fmt.Fprintf(&b, `  cam%d:
    url: 'file:%s'
    pace: fastest
    lines: { path: { points: [[0.25, 0.92], [0.62, 0.28]] } }
    zones: { lawn: { polygon: [[0.02, 0.45], [0.36, 0.32], [0.42, 0.5], [0.05, 0.75]] } }
`, i, media(t, "vtest.avi"))
	}
	fmt.Fprintf(&b, `rules:
  - { name: in-out, kind: crossing, line: path }
  - { name: five-seconds, kind: count, line: path, every: 5s }
  - { name: on-the-lawn, kind: presence, zone: lawn }
  - { name: loitering, kind: dwell, zone: lawn, for: 2s, severity: warning }
  - { name: crowd, kind: occupancy, zone: lawn }
sinks:
  - { kind: jsonl, path: '%s', types: [%s] }
`, out, everything)
	return b.String()
}

const reproducible = "engine: onnxruntime, precision: f32"

// play runs the pipeline over the first packets of its files and returns what it wrote.
func play(t testing.TB, detect string, streams, packets, cores int) (*Pipeline, []told) {
	t.Helper()
	return playVideo(t, "vtest.avi", detect, streams, packets, cores)
}

func playVideo(t testing.TB, video, detect string, streams, packets, cores int) (*Pipeline, []told) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "events.jsonl")
	o := parts(t)
	o.Source, o.Cores = cutFile(t, packets), cores
	p := build(t, strings.ReplaceAll(square(t, detect, out, streams), "vtest.avi", video), o)
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p, written(t, out)
}

// TestGolden compares a whole run with a recorded one: what happened exactly,
// numbers closely, because processors round differently. It looks at every second
// frame of 24 s, so that all five rules have something to say.
func TestGolden(t *testing.T) {
	const packets = 240
	p, got := play(t, reproducible+", fps: 5", 1, packets, 0)
	sum := p.Summary()
	if sum.Received != packets || sum.Decoded != packets || sum.Inferred != packets/2 || sum.Skipped["sampled"] != packets/2 {
		t.Errorf("of %d packets: %+v", packets, sum)
	}
	if n := ofType(got, "detections"); n != packets/2 {
		t.Errorf("%d detections events, want %d", n, packets/2)
	}
	var happened []told
	for _, e := range got {
		if e.Type != "detections" { // long; TestSameBytes looks at them
			happened = append(happened, e)
		}
	}
	for _, typ := range []string{
		"object.started", "object.updated", "object.ended", "line.crossed", "zone.entered", "zone.exited", "zone.dwell", "zone.occupancy",
		"count.reported", "stream.online", "stream.offline", "pipeline.accounting",
	} {
		if ofType(happened, typ) == 0 {
			t.Errorf("no %s in the run", typ)
		}
	}
	golden := filepath.Join("testdata", "square.jsonl")
	if *update {
		var all strings.Builder
		for _, e := range happened {
			all.WriteString(e.raw)
		}
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var want []any
	for line := range bytes.Lines(text) {
		want = append(want, anything(t, string(line)))
	}
	var have []any
	for _, e := range happened {
		have = append(have, anything(t, e.raw))
	}
	if diff := cmp.Diff(want, have, cmpopts.EquateApprox(1e-3, 1e-3)); diff != "" {
		t.Errorf("`go test ./pipelines -run TestGolden -update` records this anew:\n%s", diff)
	}
}

// anything reads JSON; sequence numbers and ids are text, so they stay exact.
func anything(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSameBytes wants the same events, byte for byte, of every run of the same
// files and config on one machine, whatever else it does.
func TestSameBytes(t *testing.T) {
	const packets = 24
	for _, engine := range []string{reproducible, "engine: openvino"} {
		t.Run(engine, func(t *testing.T) {
			_, first := play(t, engine, 2, packets, 0)
			want := perStream(first)
			for _, c := range []struct {
				name    string
				streams int
				cores   int
				busy    bool
			}{{"again, on one core", 2, 1, false}, {"three streams on a busy machine", 3, 0, true}} {
				t.Run(c.name, func(t *testing.T) {
					if c.busy {
						defer keepBusy()()
					}
					_, all := play(t, engine, c.streams, packets, c.cores)
					got := perStream(all)
					if len(got) != c.streams {
						t.Errorf("%d streams told something, want %d", len(got), c.streams)
					}
					for name := range want {
						if got[name] != "" && got[name] != want[name] {
							t.Errorf("%s:\n%s", name, firstDifference(want[name], got[name]))
						}
					}
				})
			}
		})
	}
}

// TestSameBytesWhereNotAllIsDecoded has a file of which the tails of groups of
// pictures are left out.
func TestSameBytesWhereNotAllIsDecoded(t *testing.T) {
	const detect, packets = reproducible + ", fps: 2", 64
	p, first := playVideo(t, "vtest.mp4", detect, 1, packets, 0)
	if left := p.Streams()[0].Ledger.Undecoded[skippedTail]; left < 4 {
		t.Errorf("%d pictures are left out, want the tail of a group", left)
	}
	defer keepBusy()()
	_, again := playVideo(t, "vtest.mp4", detect, 1, packets, 1)
	if a, b := perStream(first)["cam0"], perStream(again)["cam0"]; a != b || a == "" {
		t.Error(firstDifference(a, b))
	}
}

// keepBusy loads every core until the function it returns is called.
func keepBusy() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for x := 1.0; ; x = math.Sqrt(x + 1) {
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(as), len(bs))
}
