package web

import (
	"encoding/json"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
)

const pageStation = `
version: 1
name: page
drain_timeout: 1s
site: hq
detect: { model: coco-nano, fps: 5, input: 256x192, classes: [person] }
streams:
  north:
    url: ${NORTH}
    title: North side
    lines: { path: { points: [[0.25, 0.92], [0.62, 0.28]] } }
    zones: { lawn: { polygon: [[0.02, 0.45], [0.36, 0.32], [0.42, 0.5], [0.05, 0.75]] } }
  marks: { url: "${MARKS}", on_demand: true }
  old: { url: "file:${OLD}", pace: realtime, loop: true, detect: { fps: 5, optimize: { pictures: 100, for: 1h, cache: "${CACHE}" } } }
  gone: { url: "rtsp://127.0.0.1:1/none" }
rules:
  - { name: in-out, kind: crossing, line: path, classes: [person] }
  - { name: on-the-lawn, kind: presence, zone: lawn, classes: [person] }
snapshots: { path: "${PICTURES}", types: [object.started, object.ended, line.crossed] }
sinks:
  - { name: log, kind: jsonl, path: "${LOG}" }
  - { name: broker, kind: kafka, brokers: ["127.0.0.1:1"], topic: none }
web: { listen: "127.0.0.1:0" }
`

// seen is what page.mjs reports.
type seen struct {
	Enough bool
	Tiles  map[string]struct {
		Width, Still, Drawn, Matched, Exact, Boxes int
		Time, Shape                                float64
		Notice, State, Facts, Network              string
		Counts                                     []string
	}
	Marks []struct {
		At   uint32
		Mark int
	}
	Drawings []struct {
		At    uint32
		Boxes []detect.Rect
	}
	Events, Errors []string
	Pictures       [][2]int // of events: width of the JPEG, and as shown
	Sinks          []string // the badges
	Feed, Ground   string
	SticksOut      int
}

func TestChromiumLooksAtThePage(t *testing.T) {
	browser, video := chromium(t), testkit.Dep(t, "media/vtest.mp4")
	// Keyframes come often, so that a busy machine may shed what is between them.
	old := testkit.Clip(t, "old.avi", "-t", "20", "-i", video, "-c:v", "mpeg4", "-g", "10", "-q:v", "4")
	// A white bar ten wide on black: it moves by its width each picture, and
	// begins anew after thirty.
	marks := testkit.Clip(t, "marks.mp4", "-f", "lavfi", "-i", "color=black:s=300x240:r=10:d=30",
		"-f", "lavfi", "-i", "color=white:s=10x240:r=10:d=30", "-filter_complex", "overlay=x='mod(n,30)*10'", "-c:v", "libx264", "-bf", "0", "-g", "10", "-pix_fmt", "yuv420p")
	leavesNothing(t)
	cams := cameras(t, map[string]string{"north": video, "marks": marks})
	s := newStation(t, pageStation, map[string]string{"NORTH": cams.URL("north"), "MARKS": cams.URL("marks"), "OLD": old, "PICTURES": t.TempDir(), "CACHE": t.TempDir(), "LOG": filepath.Join(t.TempDir(), "events.jsonl")})
	until(t, 20*time.Second, "a camera online, and one that nobody watches yet", func() bool {
		return s.state("north").State == "online" && s.state("marks").State == "idle"
	})
	var got seen
	if err := json.Unmarshal(node(t, browserTime, "page.mjs", browser, filepath.Join(testkit.Root(t), ".deps"), s.URL()), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Enough {
		for _, st := range s.pipeline.Streams() {
			t.Errorf("not everything was shown in time: %+v", st)
		}
	}
	if len(got.Errors) > 0 {
		t.Errorf("the page complains: %q", got.Errors)
	}
	t.Run("tiles", func(t *testing.T) { checkTiles(t, got) })
	t.Run("pictures and events belong together", func(t *testing.T) { checkMarks(t, s, got) })
	t.Run("boxes are the detections of their picture", func(t *testing.T) { checkBoxes(t, s, got) })
	t.Run("events and counts", func(t *testing.T) { checkEvents(t, s, got) })
	if len(got.Sinks) != 2 || got.Sinks[0] != "log" || !regexp.MustCompile(`^broker: unreachable, [\d,]+ events? waits?, the oldest for \d+ s$`).MatchString(got.Sinks[1]) {
		t.Errorf("where events go: %q", got.Sinks)
	}
	if len(got.Pictures) == 0 || got.Pictures[0][0] < 20 || got.Pictures[0][1] < 10 {
		t.Errorf("pictures of events, by their width and as shown: %v", got.Pictures)
	}
	if got.SticksOut > 0 || got.Ground == "rgb(245, 246, 247)" {
		t.Errorf("small and dark: %d pixels stick out, ground %s", got.SticksOut, got.Ground)
	}
}

func checkTiles(t *testing.T, got seen) {
	north, old, gone := got.Tiles["north"], got.Tiles["old"], got.Tiles["gone"]
	if north.Width != 768 || north.State != "online" || north.Notice != "" || !strings.HasPrefix(north.Facts, "h264 768×576 · coco-nano on ") {
		t.Errorf("north: %+v", north)
	}
	if math.Abs(north.Shape-768.0/576) > 0.02 {
		t.Errorf("north: a picture of 4:3 has the shape %.2f", north.Shape)
	}
	if north.Matched < north.Drawn/2 { // of a busy machine boxes come late
		t.Errorf("north: boxes are known for %d of %d pictures", north.Matched, north.Drawn)
	}
	if !regexp.MustCompile(`^optimizing general network · collecting pictures · \d%( · (\d\d min|1 h) left)?$`).MatchString(old.Network) || north.Network != "" {
		t.Errorf("smaller networks: %q, and of a stream that has none %q", old.Network, north.Network)
	}
	if marks := got.Tiles["marks"]; marks.Width != 300 {
		t.Errorf("marks: %+v", marks)
	}
	if old.Width != 0 || old.Still != 768 || old.Boxes == 0 || !strings.HasPrefix(old.Notice, "still pictures") {
		t.Errorf("a codec that browsers do not play: %+v", old)
	}
	if gone.State != "offline" || !strings.HasPrefix(gone.Notice, "offline · refused") {
		t.Errorf("a camera that is away: %+v", gone)
	}
	if got.Feed != "live" {
		t.Errorf("the events are %q", got.Feed)
	}
}

// checkMarks compares what stands in a picture with the frame that the events of
// the same time name: their difference never changes.
func checkMarks(t *testing.T, s *station, got seen) {
	events := s.shownAt("marks")
	differences, n := map[int]int{}, 0
	for _, m := range got.Marks {
		if ev := events[m.At]; ev != nil {
			differences[((int(ev.Data.Frame.Index)-m.Mark)%30+30)%30]++
			n++
		}
	}
	most := 0
	for _, count := range differences {
		most = max(most, count)
	}
	// A picture may be replaced by the next while it is looked at.
	if n < 10 || most < n*8/10 {
		t.Errorf("%d of %d pictures were analyzed; frame less mark: %v", n, len(got.Marks), differences)
	}
}

func checkBoxes(t *testing.T, s *station, got seen) {
	events := s.shownAt("north")
	people := 0
	for _, d := range got.Drawings {
		ev := events[d.At]
		if ev == nil {
			t.Fatalf("no detections have the time stamp %d of a picture said to be analyzed", d.At)
		}
		var want []detect.Rect
		for _, o := range *ev.Data.Objects {
			want = append(want, o.BBox)
		}
		if !slices.EqualFunc(d.Boxes, want, near) {
			t.Fatalf("at %d is drawn %v, want %v", d.At, d.Boxes, want)
		}
		people += len(want)
	}
	if people < len(got.Drawings) {
		t.Errorf("%d boxes in %d pictures of a busy place", people, len(got.Drawings))
	}
}

func near(a, b detect.Rect) bool {
	const e = 6e-6 // events are written with five digits
	return math.Abs(a.X-b.X) < e && math.Abs(a.Y-b.Y) < e && math.Abs(a.W-b.W) < e && math.Abs(a.H-b.H) < e
}

func checkEvents(t *testing.T, s *station, got seen) {
	if !slices.ContainsFunc(got.Events, func(e string) bool { return strings.Contains(e, "appeared North side") }) {
		t.Errorf("nobody appeared: %q", got.Events)
	}
	if !slices.ContainsFunc(got.Events, func(e string) bool { return strings.Contains(e, "stream is online") }) {
		t.Errorf("no camera came online: %q", got.Events)
	}
	// The API's counts are the events', counted here.
	forward, backward := 0, 0
	for _, ev := range s.of("north", detect.LineCrossed) {
		if ev.Data.Line.Direction == "forward" {
			forward++
		} else {
			backward++
		}
	}
	until(t, 5*time.Second, "the same counts", func() bool {
		counts := s.recent.crossings("north", "path")
		return counts["forward"] >= forward && counts["backward"] >= backward
	})
	if counts := got.Tiles["north"].Counts; len(counts) != 2 || !strings.HasPrefix(counts[0], "path: ") || !strings.HasSuffix(counts[1], " inside") {
		t.Errorf("counts: %q", counts)
	}
	metrics := fetch(t, s.URL()+"metrics")
	for _, name := range []string{"sightline_inferred_total", "sightline_event_latency_seconds", "go_goroutines"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("metrics lack %s", name)
		}
	}
}
