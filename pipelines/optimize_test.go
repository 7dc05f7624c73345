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

// A process that is killed goes on where it was: what it had measured is there, and the
// network is the same as one that was made at once.
func TestJobGoesOnAfterKill(t *testing.T) {
	folder := aJob(t, optimize.SceneMode, 8)
	cmd := exec.Command(jobCommand(t)[0], jobArgument, folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // until something is kept, and then more was begun
		lines := json.NewDecoder(out)
		for {
			var l line
			if lines.Decode(&l) != nil {
				return
			}
			if kept, _ := filepath.Glob(filepath.Join(folder, workFolder, "*", "*")); len(kept) > 0 {
				cmd.Process.Kill()
			}
		}
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v", err)
	}
	before, _ := filepath.Glob(filepath.Join(folder, workFolder, "*", "*"))
	info, err := os.Stat(before[0])
	if err != nil {
		t.Fatal(err)
	}
	made := func(folder string) Made {
		text, err := exec.Command(jobCommand(t)[0], jobArgument, folder).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var l line
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &l); err != nil || l.Made == nil {
			t.Fatalf("%v: %s", err, text)
		}
		return *l.Made
	}
	m := made(folder)
	if again, err := os.Stat(before[0]); err != nil || !again.ModTime().Equal(info.ModTime()) {
		t.Errorf("what was measured was measured again: %v", err)
	}
	if m.Digest == "" {
		t.Fatalf("%+v", m)
	}
}
