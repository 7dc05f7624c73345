package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/detect/onnx"
	"sightline/detect/optimize"
)

// jobArgument makes the test's program the process that makes a network.
const jobArgument = "optimize-job"

func runJob(folder string) int {
	if err := RunJob(context.Background(), folder, os.Stdout, slog.New(slog.DiscardHandler)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func jobCommand(t *testing.T) []string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, jobArgument}
}

// A network is made while the original works, out of the stream's own pictures, and
// takes over without a gap; the next start begins with it.
func TestOptimizedInTheBackground(t *testing.T) {
	o := parts(t)
	o.Compiler = jobCommand(t)
	dir := t.TempDir()
	text := func(out string) string {
		return fmt.Sprintf(`version: 1
name: making
detect:
  engine: onnxruntime
  fps: 5
  classes: [person]
  optimize: { mode: general, agreement: 0.8, pictures: 8, for: 2s, shadow: 5, cache: '%s' }
streams: { gate: { url: 'file:%s', loop: true } }
sinks: [{ kind: jsonl, path: '%s', types: [%s] }]
`, filepath.Join(dir, "cache"), media(t, "vtest.avi"), out, everything)
	}
	path := filepath.Join(dir, "events.jsonl")
	p := build(t, text(path), o)
	if w := p.Streams()[0].Optimized; w == nil || w.Working != "original" || w.Making.State != makeCollecting {
		t.Fatalf("begins with %+v", w)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 3*time.Minute, "the optimized network works and was looked at", func() bool {
		w := p.Streams()[0].Optimized
		if s := w.Making.State; s == makeFailed || s == makeRefused {
			t.Fatalf("%+v", *w.Making)
		}
		return w.Working == "optimized" && w.Looks.Done >= 3
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	switched(t, written(t, path))

	if have := CachedNetworks(parse(t, text("x"))); len(have) != 1 || have[0].State != makeReady || have[0].Made.Recall < .8 || have[0].Made.File != "coco-nano-general.onnx" {
		t.Errorf("in the cache: %+v", have)
	}
	again := build(t, text(filepath.Join(dir, "again.jsonl")), o)
	defer again.Close()
	if st := again.Streams()[0]; st.Model.Name != "coco-nano-general" || st.Model.Precision != "int8" || st.Optimized.Working != "optimized" || st.Optimized.Making.State != makeReady {
		t.Errorf("begins with %+v, %+v", st.Model, st.Optimized)
	}
}

// switched checks that events tell which network saw them, one after the other.
func switched(t *testing.T, all []told) {
	t.Helper()
	var names []string
	for _, e := range all {
		var data struct {
			Data struct{ Model struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(e.raw), &data); err != nil {
			t.Fatal(err)
		}
		if name := data.Data.Model.Name; e.Type == "detections" && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
		if e.Type == "stream.degraded" && strings.Contains(e.raw, disagreement) {
			t.Errorf("%s", e.raw)
		}
	}
	if strings.Join(names, " ") != "coco-nano coco-nano-general" {
		t.Errorf("networks: %v", names)
	}
}

// aJob is a folder with pictures and what is to be made of them.
func aJob(t *testing.T, mode string, pictures int) string {
	t.Helper()
	o := parts(t)
	folder := t.TempDir()
	frames, err := optimize.Frames(t.Context(), media(t, "vtest.avi"), 20, pictures, o.Logger)
	if err != nil {
		t.Fatal(err)
	}
	defer optimize.Release(frames)
	album, err := optimize.OpenAlbum(filepath.Join(folder, picturesFile))
	if err != nil {
		t.Fatal(err)
	}
	defer album.Close()
	for _, f := range frames {
		if err := album.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	path, err := onnx.Find("coco-nano", o.ModelDirs)
	if err != nil {
		t.Fatal(err)
	}
	j := job{Model: path, Out: "made.onnx", Mode: mode, Classes: []string{"person"}, Engine: "onnxruntime", LibDirs: o.LibDirs, Least: .4, Agreement: .5, Stream: "gate", Bind: "b"}
	if err := keep(folder, jobFile, j); err != nil {
		t.Fatal(err)
	}
	return folder
}

// untilKept runs a job until it has kept more than before of what it measured, kills it,
// and returns when each was written.
func untilKept(t *testing.T, folder string, before int) map[string]time.Time {
	t.Helper()
	cmd := exec.Command(jobCommand(t)[0], jobArgument, folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	times := map[string]time.Time{}
	lines := json.NewDecoder(out)
	for {
		var l line
		if err := lines.Decode(&l); err != nil {
			break // it was killed, or ended by itself
		}
		if kept, _ := filepath.Glob(filepath.Join(folder, workFolder, "*", "*.json")); len(kept) > before {
			cmd.Process.Kill()
			break
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v", err)
	}
	kept, _ := filepath.Glob(filepath.Join(folder, workFolder, "*", "*.json"))
	for _, path := range kept {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		times[path] = info.ModTime()
	}
	return times
}

// A process that is killed goes on where it was: what it had measured is not measured
// again.
func TestJobGoesOnAfterKill(t *testing.T) {
	folder := aJob(t, optimize.SceneMode, 8)
	before := untilKept(t, folder, 0)
	after := untilKept(t, folder, len(before))
	for path, at := range before {
		if again, ok := after[path]; !ok || !again.Equal(at) {
			t.Errorf("%s was made again: %v", path, again)
		}
	}
}
