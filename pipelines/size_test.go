package pipelines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
)

// twoSizes is a second of the sample video and then the same second in another
// size and shape, in one H.264 stream.
func twoSizes(t *testing.T) string {
	t.Helper()
	var both []byte
	for _, size := range []string{"768:576", "640:288"} {
		part := testkit.Clip(t, "part.h264", "-i", media(t, "vtest.avi"), "-frames:v", "10", "-vf", "scale="+size, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-bf", "0", "-g", "10", "-r", "10")
		data, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, data...)
	}
	path := filepath.Join(t.TempDir(), "both.h264")
	if err := os.WriteFile(path, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSizeChange wants the same people in the same places, in 0..1 of the
// picture, when the stream goes on in another size and shape.
func TestSizeChange(t *testing.T) {
	out := filepath.Join(t.TempDir(), "events.jsonl")
	p := build(t, fmt.Sprintf(`version: 1
name: sizes
detect: { %s, classes: [person], confidence: 0.5 }
streams: { gate: { url: 'file:%s', pace: fastest } }
sinks: [{ kind: jsonl, path: '%s', types: [detections] }]
`, reproducible, twoSizes(t), out), parts(t))
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := written(t, out)
	if len(all) != 20 {
		t.Fatalf("%d frames, want 20", len(all))
	}
	matched, boxes := 0, 0
	for i := range 10 {
		large, other := all[i], all[i+10]
		if large.Data.Frame.Width != 768 || other.Data.Frame.Width != 640 || other.Data.Frame.Height != 288 {
			t.Fatalf("frame %d is %+v, frame %d %+v", i, large.Data.Frame, i+10, other.Data.Frame)
		}
		for _, a := range large.Data.Objects {
			if a.Score < 0.65 {
				continue // may be missed at half the size
			}
			boxes++
			best := 0.0
			for _, b := range other.Data.Objects {
				best = max(best, overlap(a.BBox, b.BBox))
			}
			if best > 0.6 {
				matched++
			}
		}
	}
	if boxes < 20 || matched < boxes*8/10 {
		t.Errorf("%d of %d people are in the same place in the other size", matched, boxes)
	}
}

// overlap is intersection over union.
func overlap(a, b detect.Rect) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}

// TestSizeChangeOfACamera has a camera change its size in the middle of a connection.
func TestSizeChangeOfACamera(t *testing.T) {
	server := serve(t, "", twoSizes(t))
	var h heard
	o := parts(t)
	o.OnEvent = h.event
	p := build(t, fmt.Sprintf("version: 1\nname: sizes\ndetect: { engine: onnxruntime, fps: all }\nstreams: { gate: { url: '%s', transport: tcp } }\n", server.URL("main")), o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 30*time.Second, "people in both sizes, twice", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		turns, last := 0, 0
		for _, e := range h.all {
			if e.Type == detect.Detections && e.Data.Frame.Width != last && len(*e.Data.Objects) > 0 {
				turns, last = turns+1, e.Data.Frame.Width
			}
		}
		return turns >= 4
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := h.count("gate", detect.StreamOnline); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
