package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/pipelines/optimization"
)

// jobArgument makes the test's program the process that makes a network.
const jobArgument = "optimize-job"

func runJob(folder string) int {
	if err := optimization.RunJob(context.Background(), folder, os.Stdout, slog.New(slog.DiscardHandler)); err != nil {
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
	dir, model, video := t.TempDir(), blobs(t), squares(t, "scene.avi", "lime", 16)
	text := func(out string) string {
		return fmt.Sprintf(`version: 1
name: making
detect:
  model: '%s'
  engine: onnxruntime
  fps: 5
  classes: [person]
  optimize: { mode: general, agreement: 0.6, pictures: 20, for: 4s, shadow: 5, cache: '%s' }
streams: { gate: { url: 'file:%s', loop: true } }
sinks: [{ kind: jsonl, path: '%s', types: [%s] }]
`, model, filepath.Join(dir, "cache"), video, out, everything)
	}
	path := filepath.Join(dir, "events.jsonl")
	p := build(t, text(path), o)
	if w := p.Streams()[0].Optimized; w == nil || w.Working != "original" || w.Making.State != optimization.Collecting {
		t.Fatalf("begins with %+v", w)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 3*time.Minute, "the optimized network works and was looked at", func() bool {
		w := p.Streams()[0].Optimized
		if s := w.Making.State; s == optimization.Retrying || s == optimization.Refused {
			t.Fatalf("%+v", *w.Making)
		}
		return w.Working == "optimized" && w.Looks.Done >= 3
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	all := written(t, path)
	if names := worked(t, all); names != "blobs blobs-general" {
		t.Errorf("networks: %s", names)
	}
	if slices.ContainsFunc(all, func(e told) bool { return e.Type == "stream.degraded" && strings.Contains(e.raw, disagreement) }) {
		t.Error("it fell back")
	}

	if have := optimization.CachedFor(parse(t, text("x"))); len(have) != 1 || have[0].State != optimization.Ready || have[0].Made.Recall < .6 || have[0].Made.File != "blobs-general.onnx" {
		t.Errorf("in the cache: %+v", have)
	}
	renamed := filepath.Join(dir, "renamed.onnx") // the same network by another name
	if err := os.Rename(model, renamed); err != nil {
		t.Fatal(err)
	}
	model = renamed
	again := build(t, text(filepath.Join(dir, "again.jsonl")), o)
	defer again.Close()
	if st := again.Streams()[0]; st.Model.Name != "blobs-general" || st.Model.Precision != "int8" || st.Optimized.Working != "optimized" || st.Optimized.Making.State != optimization.Ready {
		t.Errorf("begins with %+v, %+v", st.Model, st.Optimized)
	}
}

// worked are the networks that saw the pictures told of, one after the other.
func worked(t *testing.T, all []told) string {
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
	}
	return strings.Join(names, " ")
}
