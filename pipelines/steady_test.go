package pipelines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"

	"sightline/detect"
	"sightline/internal/testkit"
)

// growth is how fast things may grow, each a second. A leak of one decoded frame,
// one goroutine or one descriptor a second is far above these; what the collector
// and the allocators do within the time of a test is below.
type growth struct{ memory, goroutines, frames, descriptors float64 }

// sample is what a process holds at a moment.
type sample struct{ at, memory, heap, goroutines, frames, descriptors float64 }

func take(t testing.TB, since time.Time, p *Pipeline) sample {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s := sample{at: time.Since(since).Seconds(), memory: resident(t), goroutines: float64(runtime.NumGoroutine()), descriptors: float64(len(open))}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap = float64(m.HeapAlloc)
	if p != nil {
		s.frames = float64(p.Frames())
	}
	return s
}

// resident is this process's memory in bytes.
func resident(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * float64(os.Getpagesize())
}

// flat fails the test when the regression line through the samples rises faster
// than allowed.
func flat(t *testing.T, samples []sample, allowed growth) {
	t.Helper()
	for _, c := range []struct {
		name    string
		value   func(sample) float64
		allowed float64
	}{
		{"memory", func(s sample) float64 { return s.memory }, allowed.memory},
		{"Go's heap", func(s sample) float64 { return s.heap }, allowed.memory},
		{"goroutines", func(s sample) float64 { return s.goroutines }, allowed.goroutines},
		{"frames", func(s sample) float64 { return s.frames }, allowed.frames},
		{"descriptors", func(s sample) float64 { return s.descriptors }, allowed.descriptors},
	} {
		var x, y []float64
		for _, s := range samples {
			x, y = append(x, s.at), append(y, c.value(s))
		}
		_, slope := stat.LinearRegression(x, y, nil, false)
		t.Logf("%s: %.0f at first, %.0f in the middle, %.0f at last, %+.3f a second", c.name, y[0], y[len(y)/2], y[len(y)-1], slope)
		if slope > c.allowed {
			t.Errorf("%s grows by %.3f a second, more than %v", c.name, slope, c.allowed)
		}
	}
}

// steady plays short files over and over, as files and as a camera, and asserts
// that nothing grows.
func steady(t *testing.T, warm, length, every time.Duration, allowed growth) {
	short := testkit.Clip(t, "short.mp4", "-i", media(t, "vtest.mp4"), "-frames:v", "10", "-c", "copy")
	server := serve(t, "", media(t, "vtest-south.mp4"))
	text := fmt.Sprintf(`version: 1
name: steady
detect: { engine: onnxruntime, fps: 5 }
streams:
  fast: { url: 'file:%s', pace: fastest, loop: true }
  real: { url: 'file:%s', loop: true }
  camera: { url: '%s', transport: tcp }
sinks:
  - { kind: jsonl, path: '%s', types: [%s] }
  - { name: nowhere, kind: kafka, brokers: ["127.0.0.1:1"], topic: t, buffer: 256KiB }
drain_timeout: 1s
`, short, short, server.URL("main"), filepath.Join(t.TempDir(), "events.jsonl"), everything)
	p := build(t, text, parts(t))
	watcher := p.WatchFrames("real", 1) // slow: never takes any
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	begin := time.Now()
	var samples []sample
	tick := time.NewTicker(every)
	defer tick.Stop()
	for now := range tick.C {
		if age := now.Sub(begin); age > warm+length {
			break
		} else if age > warm {
			samples = append(samples, take(t, begin, p))
		}
	}
	counts := p.EventCounts()
	cancel()
	<-done // the broker that is not there got nothing
	watcher.Close()
	flat(t, samples, allowed)
	if p.Frames() != 0 {
		t.Errorf("%d frames are still held at the end", p.Frames())
	}
	if least := uint64(length / time.Second); counts[detect.StreamOnline] < least || counts[detect.Detections] < 5*least {
		t.Errorf("little happened: %v", counts)
	}
}

// TestSteady allows memory what the native allocator takes in its first half
// minute, a tenth of the decoded pictures; TestSoakSteady sees smaller leaks.
func TestSteady(t *testing.T) {
	steady(t, 5*time.Second, 12*time.Second, 250*time.Millisecond, growth{memory: 2 << 20, goroutines: 0.5, frames: 0.5, descriptors: 0.5})
}

// TestChurn builds, runs and closes pipelines in a row.
func TestChurn(t *testing.T) {
	o := parts(t)
	o.Source = cutFile(t, 3)
	begin := time.Now()
	var samples []sample
	const rounds, warm = 50, 15
	for i := range rounds {
		p := build(t, square(t, reproducible, filepath.Join(t.TempDir(), "events.jsonl"), 1), o)
		if i%5 == 4 {
			p.Close() // never run
		} else if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.Frames() != 0 {
			t.Fatalf("round %d leaves %d frames", i, p.Frames())
		}
		if i >= warm {
			s := take(t, begin, nil)
			s.at = float64(i)
			samples = append(samples, s)
		}
	}
	// A round: a session of 50 MiB; a leaked one shows at once. The C library's
	// memory moves by tens of MiB in steps, and one late step of 32 MiB looks like
	// 1.3 MiB a round.
	flat(t, samples, growth{memory: 2 << 20, goroutines: 0.1, frames: 0.1, descriptors: 0.1})
}
