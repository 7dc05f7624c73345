package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sightline/detect/eval"
	"sightline/internal/testkit"
	"sightline/internal/testkit/events"
	"sightline/pipelines"
)

// refused runs command lines that must fail with a code and a reason.
func refused(t *testing.T, cases []struct {
	args []string
	code int
	says string
}) {
	t.Helper()
	for _, c := range cases {
		if got := sightline(c.args...); got.code != c.code || !strings.Contains(got.errOut, c.says) || got.out != "" {
			t.Errorf("%q: exit %d, want %d and %q:\n%s%s", c.args, got.code, c.code, c.says, got.out, got.errOut)
		}
	}
}

// answered runs a command line that must do well and print JSON.
func answered(t *testing.T, into any, args ...string) {
	t.Helper()
	got := sightline(args...)
	if got.code != exitDone {
		t.Fatalf("%q: exit %d:\n%s", args, got.code, got.errOut)
	}
	if err := json.Unmarshal([]byte(got.out), into); err != nil {
		t.Fatalf("%q: %v in %s", args, err, got.out)
	}
}

func TestModels(t *testing.T) {
	needParts(t)
	var all []modelReport
	answered(t, &all, "models", "--json")
	i := slices.IndexFunc(all, func(m modelReport) bool { return m.Name == "coco-nano" })
	if i < 0 || all[i].Family != "nanodet" || all[i].Error != "" {
		t.Fatalf("no coco-nano in %+v", all)
	}
	var one modelReport
	answered(t, &one, "models", "info", "coco-nano", "--json")
	if !isFile(one.Path) || one.Path != all[i].Path || len(one.Labels) != 80 || one.Labels[0] != "person" || one.Digest == "" {
		t.Errorf("%+v", one)
	}
	for _, args := range []string{"models", "models info " + one.Path} {
		if got := sightline(strings.Fields(args)...); got.code != exitDone || !strings.Contains(got.out, "nanodet") {
			t.Errorf("%s: exit %d, %s%s", args, got.code, got.out, got.errOut)
		}
	}
	text := filepath.Join(t.TempDir(), "text.onnx")
	if err := os.WriteFile(text, []byte(strings.Repeat("no model\n", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"models", "info", "coco-nona"}, exitNothing, "coco-nano"},
		{[]string{"models", "info", text}, exitNothing, "text.onnx"},
		{[]string{"models", "info"}, exitUsage, "accepts 1 arg"},
		{[]string{"models", "list"}, exitUsage, "list"},
	})
}

func TestDoctor(t *testing.T) {
	needParts(t)
	var found []finding
	answered(t, &found, "doctor", "--json")
	for _, part := range []string{"FFmpeg", "OpenCV", "engine onnxruntime", "an engine", "model coco-nano"} {
		if !slices.ContainsFunc(found, func(f finding) bool { return f.Part == part && f.OK && f.Found != "" }) {
			t.Errorf("%s is not found: %+v", part, found)
		}
	}
	for _, f := range found {
		if !f.OK && f.Todo == "" && f.Part != "NVIDIA GPU" {
			t.Errorf("%s is missing and nobody says what to do", f.Part)
		}
	}
	if got := sightline("doctor"); got.code != exitDone || !strings.Contains(got.out, "ok      model coco-nano") {
		t.Errorf("exit %d:\n%s", got.code, got.out)
	}
}

// people is a short clip of the sample video, without compressing it anew.
func people(t *testing.T, frames int) string {
	t.Helper()
	return testkit.Clip(t, "People 1.avi", "-i", testkit.Dep(t, "media/vtest.avi"), "-frames:v", fmt.Sprint(frames), "-c", "copy")
}

func TestRunVideos(t *testing.T) {
	needParts(t)
	clip := people(t, 20)
	got := sightline("run", clip, clip, "-s", "web=null", "-s", "streams.people-1.pace=fastest", "-s", "streams.people-1-2.pace=fastest")
	if got.code != exitDone {
		t.Fatalf("exit %d:\n%s", got.code, got.errOut)
	}
	events.ValidateLines(t, []byte(got.out))
	for _, part := range []string{`"source":"/sightline/default/people-1"`, `"source":"/sightline/default/people-1-2"`, "object.started", "object.ended", "pipeline.accounting"} {
		if !strings.Contains(got.out, part) {
			t.Errorf("no %s in\n%s", part, got.out)
		}
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"run", clip, "a.yaml"}, exitUsage, "not both"},
		{[]string{"run"}, exitUsage, "requires at least 1 arg"},
		{[]string{"run", "none.yaml"}, exitNothing, "none.yaml"},
		{[]string{"run", "ftp://h/x"}, exitNothing, "unknown kind of address"},
		{[]string{"run", writeFile(t, "version: 1\nname: x\nstreams: { a: { url: 'rtmp://h/x' } }\n")}, exitNothing, "a.yaml:3:22: streams.a.url: wants rtmp://"},
		{[]string{"run", writeFile(t, "version: 1\nname: x\n")}, exitNothing, "streams"},
	})
}

func TestDefaultStreamNames(t *testing.T) {
	taken := map[string]bool{}
	for _, c := range [][2]string{
		{"clips/Front Door.mp4", "front-door"}, {"other/front_door.avi", "front-door-2"}, {"rtsp://h/main?x=${A}", "main"},
		{"ÄÖ.mp4", "stream"}, {"/", "stream-2"}, {strings.Repeat("a", 99), strings.Repeat("a", 48)},
	} {
		if got := streamName(c[0], taken); got != c[1] {
			t.Errorf("%s is called %q, want %q", c[0], got, c[1])
		}
	}
}

// TestStatus asks a run with a page how it is doing.
func TestStatus(t *testing.T) {
	needParts(t)
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"status", "--server", "http://127.0.0.1:1"}, exitNothing, "no instance answers at http://127.0.0.1:1"},
		{[]string{"status", "a", "b"}, exitUsage, "accepts at most 1 arg"},
	})
	path := writeFile(t, fmt.Sprintf(`version: 1
name: here
detect: { engine: onnxruntime, fps: 2 }
streams: { gate: { url: 'file:%s', loop: true } }
sinks: [{ kind: jsonl, path: "-" }]
web: { listen: "127.0.0.1:0" }
`, people(t, 20)))
	page := regexp.MustCompile(`url=(http://127\.0\.0\.1:\d+)/`)
	var text, gate outcome
	var all struct {
		Streams []pipelines.StreamStatus
		Sinks   []pipelines.SinkStatus
	}
	got := interrupted(t, func(_, errOut string) bool {
		at := page.FindStringSubmatch(errOut)
		if at == nil {
			return false
		}
		text = sightline("status", "--server", at[1])
		if !strings.Contains(text.out, "stream gate (file): online") || !strings.Contains(text.out, "last frame of") ||
			!strings.Contains(text.out, "acknowledged ") || strings.Contains(text.out, "acknowledged 0") {
			return false
		}
		answered(t, &all, "status", "--server", at[1]+"/", "--json")
		gate = sightline("status", "gate", "--server", at[1])
		refused(t, []struct {
			args []string
			code int
			says string
		}{{[]string{"status", "gat", "--server", at[1]}, exitNothing, `no stream "gat"`}})
		return true
	}, "run", path)
	if got.code != exitDone || text.code != exitDone || gate.code != exitDone {
		t.Errorf("exits %d, %d, %d:\n%s", got.code, text.code, gate.code, got.errOut)
	}
	for _, part := range []string{"768×576, coco-nano on onnxruntime f32", "from file:", "clock file", "received ", "sink jsonl (jsonl): ok", "acknowledged "} {
		if !strings.Contains(gate.out, part) {
			t.Errorf("status lacks %q:\n%s", part, gate.out)
		}
	}
	if len(all.Streams) != 1 || all.Streams[0].Ledger.Received == 0 || len(all.Sinks) != 1 || all.Sinks[0].Ledger.Made == 0 {
		t.Errorf("%+v", all)
	}
}

// TestDemo runs the demo for a while and wants what it prints to be what happened.
func TestDemo(t *testing.T) {
	needParts(t)
	testkit.Dep(t, "media/vtest-south.mp4")
	got := sightline("demo", "--for", "7s", "--listen", "127.0.0.1:0")
	if got.code != exitDone {
		t.Fatalf("exit %d:\n%s", got.code, got.errOut)
	}
	for _, pattern := range []string{
		`(?m)^\d\d:\d\d:\d\d\.\d{3} north +object\.started +track/\d+-\d+ +person 0\.\d\d$`,
		`(?m)^\d\d:\d\d:\d\d\.\d{3} south +stream\.online +stream/south$`,
		`(?m)^\d\d:\d\d:\d\d\.\d{3} south +pipeline\.accounting stream/south$`,
		`frames    [1-9]\d+ received, [1-9]\d+ decoded, [1-9]\d+ inferred`,
		`latency   p50 \d+.*ms, p95 `,
	} {
		if !regexp.MustCompile(pattern).MatchString(got.out) {
			t.Errorf("nothing like %s in\n%s", pattern, got.out)
		}
	}
	var acknowledged, read, lost int
	at := strings.Index(got.out, "  delivered ")
	if _, err := fmt.Sscanf(got.out[max(at, 0):], "  delivered %d acknowledged by Kafka, %d read back, %d lost", &acknowledged, &read, &lost); err != nil || read != acknowledged || lost != 0 || read < 10 {
		t.Errorf("%d acknowledged, %d read, %d lost, %v", acknowledged, read, lost, err)
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{{[]string{"demo", "now"}, exitUsage, "unknown command"}, {[]string{"demo", "--for", "soon"}, exitUsage, "invalid"}})
}

// TestEval measures a run against its own boxes, which it must find right.
func TestEval(t *testing.T) {
	needParts(t)
	clip := people(t, 30)
	run := sightline("run", writeFile(t, fmt.Sprintf("version: 1\nname: gt\ndetect: { engine: onnxruntime, classes: [person], confidence: 0.5 }\n"+
		"streams: { gate: { url: 'file:%s', pace: fastest } }\nsinks: [{ kind: jsonl, path: \"-\", types: [detections] }]\n", clip)))
	var truth strings.Builder
	for line := range strings.Lines(run.out) {
		var e struct {
			Data struct {
				Frame   struct{ Index, Width, Height int }
				Objects []struct {
					TrackID string `json:"track_id"`
					BBox    struct{ X, Y, W, H float64 }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		w, h := float64(e.Data.Frame.Width), float64(e.Data.Frame.Height)
		for _, o := range e.Data.Objects {
			if _, id, ok := strings.Cut(o.TrackID, "-1-"); ok {
				fmt.Fprintf(&truth, "%d,%s,%.2f,%.2f,%.2f,%.2f,1,-1,-1,-1\n", e.Data.Frame.Index, id, o.BBox.X*w, o.BBox.Y*h, o.BBox.W*w, o.BBox.H*h)
			}
		}
	}
	gt := writeFile(t, truth.String())
	var r eval.Result
	answered(t, &r, "eval", "--video", clip, "--gt", gt, "--confidence", "0.5", "--json", "-s", "detect.engine=onnxruntime")
	if r.Frames != 30 || r.TruthBoxes < 60 || r.Recall < 0.98 || r.Precision < 0.9 || r.AP50 < 0.9 || r.IDF1 < 0.9 {
		t.Errorf("%+v", r)
	}
	if got := sightline("eval", "--video", clip, "--gt", gt, "--last", "10"); got.code != exitDone || !strings.Contains(got.out, "10 frames, ") || !strings.Contains(got.out, "HOTA") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.errOut)
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"eval", "--video", clip}, exitUsage, "--gt"},
		{[]string{"eval", "--video", "no.avi", "--gt", gt}, exitNothing, "no.avi: no such file"},
		{[]string{"eval", "--video", clip, "--gt", "no.txt"}, exitNothing, "no.txt"},
		{[]string{"eval", "--video", clip, "--gt", writeFile(t, "no numbers\n")}, exitNothing, "read ground truth"},
	})
}

func TestBench(t *testing.T) {
	needParts(t)
	testkit.Dep(t, "media/vtest.mp4")
	var r benchResult
	answered(t, &r, "bench", "--streams", "2", "--for", "3s", "--json", "-s", "detect.engine=onnxruntime")
	s, c := r.Saturated, r.Cameras
	if s == nil || c == nil || s.Inferences <= 0 || s.LeastFPS <= 0 || s.StageMs["infer"] <= 0 || s.CPUMs <= 0 || s.PSSMiB <= 0 || r.Bottleneck == "" {
		t.Fatalf("%+v, %+v", s, r)
	}
	if c.Streams != 2 || c.P95Ms <= 0 || c.P95Ms < c.P50Ms || c.Model.Engine != "onnxruntime" {
		t.Errorf("%+v", c)
	}
	if got := sightline("bench", "--streams", "1", "--for", "2s", "--only", "saturated"); got.code != exitDone || !strings.Contains(got.out, "saturated  1 streams: ") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.errOut)
	}
	refused(t, []struct {
		args []string
		code int
		says string
	}{
		{[]string{"bench", "--clip", "no.mp4"}, exitNothing, "no.mp4"},
		{[]string{"bench", "--only", "half"}, exitUsage, "--only"},
		{[]string{"bench", "--clip", writeFile(t, "text")}, exitNothing, "ended before the measurement"},
	})
}

// TestRunWithAPortInUse ends before anything is read.
func TestRunWithAPortInUse(t *testing.T) {
	needParts(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	got := sightline("run", people(t, 5), "-s", "web.listen="+taken.Addr().String())
	if got.code != exitNothing || !strings.Contains(got.errOut, taken.Addr().String()) || got.out != "" {
		t.Errorf("exit %d:\n%s%s", got.code, got.out, got.errOut)
	}
}
