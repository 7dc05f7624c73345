//go:build cuda

package pipelines

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"sightline/internal/testkit/gputest"
	"sightline/kernels/emu"
	"sightline/pipelines/optimization"
)

// On a GPU that the pipeline chose itself no network is made whose budget was proved on
// the processor alone, and it says so; one that only rounds is made, and taken at the next
// start.
func TestCUDAOptimized(t *testing.T) {
	gputest.Require(t)
	emu.KeepsNothing(t)
	o := parts(t)
	o.Compiler = jobCommand(t)
	cache, model, video := t.TempDir(), blobs(t), squares(t, "scene.avi", "lime", 16)
	text := func(mode string) string {
		return fmt.Sprintf(`version: 1
name: gpu
detect: { model: '%s', engine: onnxruntime, fps: 5, classes: [person], optimize: { mode: %s, agreement: 0.6, pictures: 8, for: 2s, cache: '%s' } }
streams: { gate: { url: 'file:%s', loop: true } }
sinks: [{ kind: jsonl, path: '%s', types: [detections] }]
`, model, mode, cache, video, filepath.Join(t.TempDir(), "events.jsonl"))
	}
	for _, mode := range []string{"general", "scene"} {
		p := build(t, text(mode), o)
		if m := p.Streams()[0].Optimized.Making; len(p.Devices()) != 1 || m.State != optimization.Refused || m.Reason != unproved {
			t.Errorf("%s on %v: %+v", mode, p.Devices(), m)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	p := build(t, text("exact"), o)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 2*time.Minute, "a network waits for the next start", func() bool {
		w := p.Streams()[0].Optimized
		if s := w.Making.State; s == optimization.Retrying || s == optimization.Refused {
			t.Fatalf("%+v", *w.Making)
		}
		return w.Waits == nextStart && w.Making.State == optimization.Ready && w.Working == "original"
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p = build(t, text("exact"), o)
	if st := p.Streams()[0]; st.Model.Name != "blobs-exact" || st.Optimized.Working != "optimized" || st.Optimized.Waits != "" {
		t.Errorf("the next start begins with %+v, %+v", st.Model, st.Optimized)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
