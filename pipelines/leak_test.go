package pipelines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"

	"sightline/ingest"
	"sightline/internal/testkit"
)

// threads is how many the process has.
func threads(t *testing.T) float64 {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(tasks))
}

// ledgerOfLeaks is what the process holds after so many repetitions.
type ledgerOfLeaks struct {
	samples []sample
	threads []float64
}

func (l *ledgerOfLeaks) take(t *testing.T, n int) {
	t.Helper()
	runtime.GC()
	s := take(t, time.Now(), nil)
	s.at = float64(n)
	l.samples, l.threads = append(l.samples, s), append(l.threads, threads(t))
}

// flat wants nothing to grow with the repetitions: not by so many bytes each.
func (l *ledgerOfLeaks) flat(t *testing.T, bytes, count float64) {
	t.Helper()
	flat(t, l.samples, growth{memory: bytes, goroutines: count, frames: count, descriptors: count})
	var x []float64
	for _, s := range l.samples {
		x = append(x, s.at)
	}
	_, slope := stat.LinearRegression(x, l.threads, nil, false)
	t.Logf("threads: %.0f at first, %.0f at last, %+.4f each", l.threads[0], l.threads[len(l.threads)-1], slope)
	// Go's scheduler adds one or two of its own whenever all block at once.
	if more := l.threads[len(l.threads)-1] - l.threads[0]; slope > count && more > 3 {
		t.Errorf("threads grow by %.4f each", slope)
	}
}

// TestRefusedConnectionsLeaveNothing has each kind of camera refuse connections,
// without the pauses between them.
func TestRefusedConnectionsLeaveNothing(t *testing.T) {
	const attempts = 10_000
	urls := []string{"rtsp://%s/a", "http://%s/a.mjpg", "http://%s/a.m3u8", "rtmp://%s/a/b", "whep://%s/a"}
	for _, url := range urls {
		t.Run(url[:strings.IndexByte(url, ':')]+url[len(url)-4:], func(t *testing.T) {
			sp := parse(t, fmt.Sprintf("version: 1\nname: x\nstreams: { a: { url: '%s' } }\n", fmt.Sprintf(url, testkit.Refused(t))))
			source, err := newSource(&sp.Streams[0], nil, quietLog())
			if err != nil {
				t.Fatal(err)
			}
			p := newPulled()
			p.inputs = []*input{{address: url, source: source}}
			each := attempts / len(urls)
			var l ledgerOfLeaks
			for i := range each {
				err := p.connect(t.Context(), 0, i+1)
				if reason := ingest.ReasonOf(err); reason != ingest.ReasonRefused {
					t.Fatalf("%s: %v", reason, err)
				}
				if i >= each/4 && i%(each/40) == 0 {
					l.take(t, i)
				}
			}
			l.flat(t, 1<<10, 0.005)
		})
	}
}

// TestStreamsComeAndGo adds a stream to a running pipeline, waits until it is
// inferred and removes it, over and over.
func TestStreamsComeAndGo(t *testing.T) { comeAndGo(t, 120, 256<<10) }

func comeAndGo(t *testing.T, cycles int, bytes float64) {
	const together = 4
	server := serveClips(t, "")
	clip, err := filepath.Abs("testdata/small.mp4")
	if err != nil {
		t.Fatal(err)
	}
	tcp := fmt.Sprintf("{ url: '%s', transport: tcp }", server.URL("small"))
	text := fmt.Sprintf(`version: 1
name: churn
detect: { engine: onnxruntime, fps: 5, input: 128x96 }
web: { listen: 127.0.0.1:0 }
sinks: []
streams:
  stays: { url: '%s', on_demand: true }
  tcp: %s
  udp: { url: '%s', transport: udp }
  file: { url: 'file:%s', loop: true }
  away: { url: 'rtsp://%s/a', fallback: ['%s'], transport: tcp }
`, server.URL("small"), tcp, server.URL("large"), clip, testkit.Refused(t), server.URL("small"))
	sp := parse(t, text)
	models := sp.Streams[1:]
	sp.Streams = sp.Streams[:1:1]
	o := parts(t)
	o.Logger = quietLog()
	p, err := New(sp, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, 10*time.Second, "it runs", p.Running)

	var l ledgerOfLeaks
	for n := 0; n < cycles; n += together {
		var wg sync.WaitGroup
		for i := range together {
			st := models[(n/together+i)%len(models)]
			st.Name = fmt.Sprintf("c%d", n+i)
			s, err := p.newStream(&st, o)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { visit(t, ctx, s) })
		}
		wg.Wait()
		if n >= cycles/3 {
			l.take(t, n)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if p.Frames() != 0 {
		t.Errorf("%d frames are left", p.Frames())
	}
	l.flat(t, bytes, 0.02)
}

// visit runs a stream until it was inferred, and ends it.
func visit(t *testing.T, ctx context.Context, s *stream) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.runWith(ctx) }()
	for s.ledger.snapshot().Inferred == 0 && pause(ctx, 5*time.Millisecond) {
	}
	if ctx.Err() != nil {
		t.Errorf("%s was never inferred: %+v", s.name, s.status.snapshot())
	}
	cancel()
	stopped := time.Now()
	if err := <-ended; err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
	if took := time.Since(stopped); took > promptly {
		t.Errorf("%s took %v to end", s.name, took)
	}
	s.lane.writer.Close()
	if l := s.ledger.snapshot(); l.Received != l.Decoded+sum(l.Undecoded) || l.InFlight != 0 {
		t.Errorf("%s: %+v", s.name, l)
	}
}
