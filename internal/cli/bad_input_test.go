package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/internal/testkit"
	"sightline/internal/testkit/events"
)

// needParts wants the default model and an engine to run it on.
func needParts(t *testing.T) {
	t.Helper()
	testkit.Dep(t, "models/coco-nano.onnx")
	testkit.Dep(t, "onnxruntime/lib")
}

// videos makes files that something is wrong with, or seems to be.
type videos struct{ dir string }

func (v videos) path(name string) string { return filepath.Join(v.dir, name) }

func (v videos) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(v.path(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return v.path(name)
}

// pattern makes a clip of FFmpeg's test picture.
func pattern(t *testing.T, name, size string, args ...string) string {
	t.Helper()
	return testkit.Clip(t, name, append([]string{"-f", "lavfi", "-i", "testsrc=size=" + size + ":rate=10:duration=2"}, args...)...)
}

// pipelineOf is the YAML of a pipeline that plays files and writes everything to
// standard output.
func pipelineOf(t *testing.T, files map[string]string) string {
	t.Helper()
	text := "version: 1\nname: bad\ndetect: { engine: onnxruntime, fps: 2 }\nsinks: [{ kind: jsonl, path: \"-\", types: [detections, stream.online, stream.offline] }]\nstreams:\n"
	for name, path := range files {
		text += fmt.Sprintf("  %s: { url: 'file:%s', pace: fastest }\n", name, path)
	}
	return writeFile(t, text)
}

// TestBadFiles plays each bad file alone and all of them beside a good one.
func TestBadFiles(t *testing.T) {
	needParts(t)
	v := videos{t.TempDir()}
	good := pattern(t, "good.mp4", "320x240", "-pix_fmt", "yuv420p")
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	alien, err := os.ReadFile(pattern(t, "alien.avi", "320x240", "-c:v", "mpeg4"))
	if err != nil {
		t.Fatal(err)
	}
	long, err := os.ReadFile(pattern(t, "long.mkv", "320x240", "-pix_fmt", "yuv420p", "-g", "5"))
	if err != nil {
		t.Fatal(err)
	}
	noKey := testkit.Clip(t, "nokey.ts", "-i", good, "-c", "copy", "-bsf:v", "h264_mp4toannexb,filter_units=remove_types=5|6|7|8")
	bad := []struct {
		name, path string
		code       int      // alone
		says       []string // on standard error
	}{
		{"missing", v.path("no.mp4"), exitNothing, []string{"no.mp4: no such file"}},
		{"empty", v.write(t, "empty.mp4", nil), exitNothing, []string{"empty.mp4: the file is empty"}},
		{"picture", pattern(t, "photo.jpg", "320x240", "-frames:v", "1"), exitNothing, []string{"photo.jpg: a picture, not a video"}},
		{"text", v.write(t, "notes.mp4", bytes.Repeat([]byte("no video\n"), 50)), exitNothing, []string{"notes.mp4: not a video"}},
		{"alien", v.write(t, "alien.avi", bytes.ReplaceAll(alien, []byte("FMP4"), []byte("ZZZ9"))), exitNothing, []string{"alien"}},
		{"no-keyframes", noKey, exitNothing, []string{"keyframe"}},
		{"tail-missing", v.write(t, "tail.mkv", long[:len(long)*6/10]), exitPartial, []string{"tail.mkv: cut short"}},
		{"cut-short", v.write(t, "cut.mp4", whole[:len(whole)/2]), exitNothing, []string{"cut.mp4: cut short"}},
	}
	all := map[string]string{"good": good}
	for _, c := range bad {
		all[c.name] = c.path
		t.Run(c.name, func(t *testing.T) {
			got := sightline("run", pipelineOf(t, map[string]string{c.name: c.path}))
			if got.code != c.code {
				t.Errorf("exit %d, want %d", got.code, c.code)
			}
			for _, part := range append(c.says, "sightline: stream "+c.name+": a stream failed: ") {
				if !strings.Contains(got.errOut, part) {
					t.Errorf("standard error lacks %q:\n%s", part, got.errOut)
				}
			}
			events.ValidateLines(t, []byte(got.out))
		})
	}
	t.Run("all beside a good one", func(t *testing.T) {
		got := sightline("run", pipelineOf(t, all))
		if got.code != exitPartial {
			t.Errorf("exit %d, want %d:\n%s", got.code, exitPartial, got.errOut)
		}
		for _, c := range bad {
			if !strings.Contains(got.errOut, "stream "+c.name+": a stream failed: ") {
				t.Errorf("nothing is said of %s:\n%s", c.name, got.errOut)
			}
		}
		if n := strings.Count(got.out, `"source":"/sightline/bad/good"`); n != 4+2 {
			t.Errorf("%d events of the good stream, want 6:\n%s", n, got.out)
		}
		events.ValidateLines(t, []byte(got.out))
	})
}

// TestOddFilesPlay has files that look wrong and are not.
func TestOddFilesPlay(t *testing.T) {
	needParts(t)
	v := videos{t.TempDir()}
	long, err := os.ReadFile(pattern(t, "long.ts", "320x240", "-pix_fmt", "yuv420p", "-g", "5"))
	if err != nil {
		t.Fatal(err)
	}
	for i := len(long) / 3; i < len(long)/2; i++ {
		long[i] ^= 0x5a
	}
	odd := map[string]string{
		"one-pixel": pattern(t, "one.mkv", "1x1", "-c:v", "ffv1"),
		"odd":       pattern(t, "odd.mkv", "321x241", "-c:v", "ffv1", "-pix_fmt", "yuv420p"),
		"thin":      pattern(t, "thin.mkv", "1000x2", "-c:v", "ffv1", "-pix_fmt", "yuv420p"),
		"corrupt":   v.write(t, "corrupt.ts", long),
	}
	got := sightline("run", pipelineOf(t, odd))
	if got.code != exitDone {
		t.Errorf("exit %d:\n%s", got.code, got.errOut)
	}
	events.ValidateLines(t, []byte(got.out))
	for name := range odd {
		least := 4 + 2
		if name == "corrupt" {
			least = 2 + 2
		}
		if n := strings.Count(got.out, `"source":"/sightline/bad/`+name+`"`); n < least {
			t.Errorf("%d events of %s, want %d:\n%s", n, name, least, got.errOut)
		}
	}
}

func TestBadModels(t *testing.T) {
	needParts(t)
	v := videos{t.TempDir()}
	model, err := os.ReadFile(testkit.Dep(t, "models/coco-nano.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	v.write(t, "two.onnx", model)
	v.write(t, "two.yaml", []byte("labels: [person, dog]\n"))
	good := pattern(t, "good.mp4", "320x240", "-pix_fmt", "yuv420p")
	for _, c := range []struct{ set, says string }{
		{"detect.model=" + v.write(t, "text.onnx", bytes.Repeat([]byte("no model\n"), 50)), "text.onnx"},
		{"detect.model=" + v.write(t, "empty.onnx", nil), "empty.onnx"},
		{"detect.model=" + v.path("none.onnx"), "none.onnx"},
		{"detect.model=" + v.path("two.onnx"), "two"},
		{"detect.model=coco-nono", "coco-nano"},
		{"detect.classes=[persona]", "nearest: person"},
		{"detect.precision=int8", "int8"},
	} {
		got := sightline("run", pipelineOf(t, map[string]string{"gate": good}), "-s", c.set)
		if got.code != exitNothing || !strings.Contains(got.errOut, "stream gate: ") || !strings.Contains(got.errOut, c.says) {
			t.Errorf("%s: exit %d, %s", c.set, got.code, got.errOut)
		}
	}
}

// TestBadBrokers ends a run whose broker refuses the password, or is not there,
// and one whose folder is not there.
func TestBadBrokers(t *testing.T) {
	needParts(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "viewer", "right secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	good := pattern(t, "good.mp4", "320x240", "-pix_fmt", "yuv420p")
	for _, c := range []struct {
		sink, says string
		code       int
	}{
		{`{ kind: kafka, brokers: ["` + cluster.ListenAddrs()[0] + `"], topic: t, sasl: { mechanism: PLAIN, username: viewer, password: wrong-secret } }`, "at the login of user \"viewer\" (SASL PLAIN): a wrong password", exitPartial},
		{`{ kind: kafka, brokers: ["127.0.0.1:1"], topic: t }`, "127.0.0.1:1", exitPartial},
		{`{ kind: jsonl, path: /proc/none/events.jsonl }`, "sink jsonl: ", exitNothing},
	} {
		text := fmt.Sprintf("version: 1\nname: bad\ndrain_timeout: 500ms\ndetect: { engine: onnxruntime, fps: 2 }\nstreams: { gate: { url: 'file:%s', pace: fastest } }\nsinks:\n  - %s\n  - { name: other, kind: jsonl, path: \"-\" }\n", good, c.sink)
		got := sightline("run", writeFile(t, text))
		if got.code != c.code || !strings.Contains(got.errOut, c.says) || strings.Contains(got.errOut, "wrong-secret") {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", c.sink, got.code, c.code, c.says, got.errOut)
		}
		if n := events.ValidateLines(t, []byte(got.out)); n < 3 && c.code == exitPartial {
			t.Errorf("%s: the other sink got %d events:\n%s", c.sink, n, got.out)
		}
	}
}

// buffer is a writer for two goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// interrupted runs a command line until enough(out, errOut), then sends this
// process SIGINT as ^C would.
func interrupted(t *testing.T, enough func(out, errOut string) bool, args ...string) outcome {
	t.Helper()
	var out, errOut buffer
	code := make(chan int, 1)
	go func() { code <- Main(args, &out, &errOut, func(string) (string, bool) { return "", false }) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case c := <-code:
			t.Fatalf("it ended by itself with %d:\n%s\n%s", c, out.String(), errOut.String())
		case <-deadline:
			t.Errorf("not enough came:\n%s\n%s", out.String(), errOut.String())
		case <-tick.C:
			if !enough(out.String(), errOut.String()) {
				continue
			}
		}
		break
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-code:
		return outcome{c, out.String(), errOut.String()}
	case <-time.After(40 * time.Second):
		t.Fatalf("it does not end:\n%s", errOut.String())
	}
	panic("not reached")
}

// TestBadCameras has a camera that is not there and one that wants another
// password beside a file in a loop, until a signal comes.
func TestBadCameras(t *testing.T) {
	needParts(t)
	guarded, err := camera.Serve(context.Background(), camera.Config{
		Username: "viewer", Password: "right",
		Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
			{Packets: ingesttest.H264(1000, 10, 40*time.Millisecond), Paced: true, Hold: true},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guarded.Close()
	good := pattern(t, "good.mp4", "320x240", "-pix_fmt", "yuv420p")
	path := writeFile(t, fmt.Sprintf(`version: 1
name: bad
detect: { engine: onnxruntime, fps: 2 }
streams:
  dead: { url: "rtsp://viewer:hunter2@127.0.0.1:1/main" }
  guarded: { url: "%s", username: viewer, password: hunter2 }
  good: { url: 'file:%s', loop: true }
sinks: [{ kind: jsonl, path: "-", types: [detections, stream.online, stream.offline, pipeline.accounting] }]
`, guarded.URL("gate"), good))
	got := interrupted(t, func(out, errOut string) bool {
		return strings.Count(out, `"type":"sightline.detections"`) >= 6 && strings.Contains(out, `"code":"refused"`) && strings.Contains(out, `"code":"unauthorized"`)
	}, "run", path)
	if got.code != exitDone {
		t.Errorf("exit %d:\n%s", got.code, got.errOut)
	}
	if strings.Contains(got.out+got.errOut, "hunter2") {
		t.Errorf("the password shows:\n%s\n%s", got.out, got.errOut)
	}
	for _, part := range []string{"stream=dead reason=refused", "stream=guarded reason=unauthorized"} {
		if !strings.Contains(got.errOut, part) {
			t.Errorf("standard error lacks %q:\n%s", part, got.errOut)
		}
	}
	if n := strings.Count(got.errOut, "stream is offline"); n != 2 {
		t.Errorf("told %d times that a stream is offline, want once each:\n%s", n, got.errOut)
	}
	events.ValidateLines(t, []byte(got.out))
}
