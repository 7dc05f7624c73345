package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/pipelines/optimization"
	"sightline/pipelines/spec"
)

// turning plays a scene over and over, and another one once it is turned.
type turning struct {
	scenes [2][]ingest.Packet
	turned chan struct{}
}

// newTurning reads a clip for each of the two.
func newTurning(t *testing.T, first, second string) *turning {
	t.Helper()
	c := &turning{turned: make(chan struct{})}
	for i, path := range []string{first, second} {
		config := file.Defaults()
		config.Path, config.Pace, config.Start = path, file.Fastest, time.Now()
		s, err := file.New(config, "gate", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Run(t.Context(), func(p ingest.Packet) error {
			c.scenes[i] = append(c.scenes[i], p)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Run is ingest.Source's: ten pictures a second.
func (c *turning) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	const step = 100 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	epoch, scene, at, turned := ingest.LiveEpoch(), c.scenes[0], 0, c.turned
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		select {
		case <-turned:
			scene, at, turned = c.scenes[1], 0, nil
		default:
		}
		p := scene[at%len(scene)]
		at++
		p.Epoch, p.PTS, p.Captured, p.Received = epoch, time.Duration(n)*step, time.Now().UTC(), time.Now()
		p.Clock = ingest.Clock{Source: ingest.ClockArrival}
		if err := emit(p); err != nil {
			return err
		}
	}
}

// A network for the scene is made while the original works, takes over, is watched by
// it, and gives way to it when the camera is turned; all of one pipeline's file.
func TestSceneInTheBackground(t *testing.T) {
	o := parts(t)
	o.Compiler = jobCommand(t)
	cam := newTurning(t, squares(t, "scene.avi", "lime", 16), squares(t, "turned.avi", "red", 40))
	o.Source = func(*spec.Stream) ingest.Source { return cam }
	path := filepath.Join(t.TempDir(), "events.jsonl")
	p := build(t, fmt.Sprintf(`version: 1
name: scene
detect:
  model: '%s'
  engine: onnxruntime
  fps: 5
  classes: [person]
  optimize: { mode: scene, agreement: 0.6, pictures: 16, for: 3s, shadow: 5, cache: '%s' }
streams: { gate: { url: 'rtsp://127.0.0.1/main' } }
sinks: [{ kind: jsonl, path: '%s', types: [%s] }]
`, blobs(t), t.TempDir(), path, everything), o)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	working := func(which string, falls int) func() bool {
		return func() bool {
			w := p.Streams()[0].Optimized
			if s := w.Making.State; s == optimization.Retrying || s == optimization.Refused {
				t.Fatalf("%+v", *w.Making)
			}
			return w.Working == which && w.Falls == falls && w.Looks.Done >= 3
		}
	}
	eventually(t, 3*time.Minute, "the scene's network works and was looked at", working("optimized", 0))
	if w := p.Streams()[0].Optimized; w.Recall < .6 || w.Precision < .6 || w.Boxes == 0 {
		t.Errorf("of its own scene: %+v", w)
	}
	close(cam.turned)
	eventually(t, time.Minute, "the original works again", working("original", 1))
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	all := written(t, path)
	if names := worked(t, all); names != "blobs blobs-scene blobs" {
		t.Errorf("networks: %s", names)
	}
	if !goesOn(all, "blobs-scene") {
		t.Error("no object went on when the scene's network took over")
	}
	told := slices.DeleteFunc(all, func(e told) bool { return e.Type != "stream.degraded" || !strings.Contains(e.raw, disagreement) })
	if len(told) != 1 {
		t.Errorf("it is told %d times: %v", len(told), told)
	}
}

// goesOn tells whether an object that was there before a network worked is among what it
// sees.
func goesOn(all []told, network string) bool {
	before, since := map[string]bool{}, false
	for _, e := range all {
		if e.Type != "detections" {
			continue
		}
		since = since || strings.Contains(e.raw, `"name":"`+network+`"`)
		for _, o := range e.Data.Objects {
			if since && before[o.TrackID] {
				return true
			}
			before[o.TrackID] = !since && o.TrackID != ""
		}
	}
	return false
}

// A file at pace fastest takes its network while it runs, too.
func TestFastestTakesItsNetwork(t *testing.T) {
	o := parts(t)
	o.Compiler = jobCommand(t)
	path := filepath.Join(t.TempDir(), "events.jsonl")
	p := build(t, fmt.Sprintf(`version: 1
name: fastest
detect:
  model: '%s'
  engine: onnxruntime
  fps: 5
  classes: [person]
  optimize: { mode: exact, agreement: 0.6, pictures: 8, for: 2s, cache: '%s' }
streams: { gate: { url: 'file:%s', pace: fastest, loop: true } }
sinks: [{ kind: jsonl, path: '%s', types: [detections] }]
`, blobs(t), t.TempDir(), squares(t, "scene.avi", "lime", 16), path), o)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 2*time.Minute, "the optimized network works", func() bool {
		w := p.Streams()[0].Optimized
		if s := w.Making.State; s == optimization.Retrying || s == optimization.Refused {
			t.Fatalf("%+v", *w.Making)
		}
		return w.Working == "optimized" && w.Looks.Done > 0
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w := p.Streams()[0].Optimized; w.Mode != "exact" || w.Since == nil || w.Speedup == 0 || w.Looks.Skipped > 0 {
		t.Errorf("%+v", w)
	}
	if names := worked(t, written(t, path)); names != "blobs blobs-exact" {
		t.Errorf("networks: %s", names)
	}
}
