//go:build cuda

package pipelines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sightline/detect"
	"sightline/ingest"
	"sightline/kernels/emu"
	"sightline/pipelines/spec"
)

// sequence does one thing after the other, as events make their conditions true.
type sequence struct {
	mu    sync.Mutex
	steps []step
	n     map[string]int // of events since the last step, by stream and what they are
	done  chan struct{}
}

type step struct {
	what string
	when func(n map[string]int) bool
	do   func()
}

func newSequence(steps ...step) *sequence {
	return &sequence{steps: steps, n: map[string]int{}, done: make(chan struct{})}
}

func (q *sequence) see(ev *detect.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	what := string(ev.Type)
	if r := ev.Data.Reason; r != nil {
		what += " " + r.Code
	}
	q.n[what]++
	q.n[ev.Stream+" "+what]++
	if len(q.steps) == 0 || !q.steps[0].when(q.n) {
		return
	}
	do := q.steps[0].do
	q.steps, q.n = q.steps[1:], map[string]int{}
	if len(q.steps) == 0 {
		close(q.done)
	}
	if do != nil {
		do()
	}
}

// waiting is what the sequence has not come to.
func (q *sequence) waiting() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.steps) == 0 {
		return ""
	}
	return fmt.Sprintf("%s; seen since %v", q.steps[0].what, q.n)
}

// each wants so many events of a kind from each of n streams.
func each(streams, times int, what string) func(map[string]int) bool {
	return func(n map[string]int) bool {
		for i := range streams {
			if n[fmt.Sprintf("cam%d %s", i, what)] < times {
				return false
			}
		}
		return true
	}
}

// runSequence runs a pipeline until the sequence, which sees its events, is through.
func runSequence(t *testing.T, p *Pipeline, q *sequence) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-q.done:
			cancel()
		case <-stop:
		}
	})
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	close(stop)
	watching.Wait()
	if left := q.waiting(); left != "" {
		t.Errorf("the run ended while waiting for %s", left)
	}
}

// silent is a source that says nothing after its last packet, and does not end.
type silent struct{ ingest.Source }

func (s silent) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	if err := s.Source.Run(ctx, emit); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestCUDALostDevice takes the device away in the middle of a run, keeps it away until the
// CPU has taken over, and gives it back. The process goes on through all of it, and every
// packet and picture is accounted for. One stream is a camera that has gone silent: it
// does not keep the device from coming back.
func TestCUDALostDevice(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	const streams = 2
	out := filepath.Join(t.TempDir(), "events.jsonl")
	var there, away, back DeviceStatus
	var p *Pipeline
	o := parts(t)
	q := newSequence(
		step{"inferences on the GPU", each(streams, 3, "detections"), func() {
			there = p.Devices()[0]
			emu.Fail(emu.Device, 1)
		}},
		step{"the loss to be told", each(streams, 1, "stream.degraded gpu_lost"), func() { away = p.Devices()[0] }},
		step{"inferences on the CPU", each(streams, 3, "detections"), func() { emu.Restore(0) }},
		step{"the return to be told", each(streams, 1, "stream.degraded recovered"), func() { back = p.Devices()[0] }},
		step{"inferences on the GPU again", each(streams, 8, "detections"), nil},
	)
	text := strings.ReplaceAll(nvdec(t, out, streams, ""), "pace: fastest", "pace: fastest, loop: true")
	text = strings.Replace(text, "sinks:", "  silent: { url: 'rtsp://127.0.0.1/none' }\nsinks:", 1)
	o.OnEvent = q.see
	o.Source = func(st *spec.Stream) ingest.Source {
		if st.Name != "silent" {
			return nil
		}
		return silent{cutFile(t, 12)(&spec.Stream{Name: st.Name, Path: media(t, "vtest.mp4")})}
	}
	p = build(t, text, o)
	runSequence(t, p, q)
	written(t, out)
	if there.State != "ready" || there.Used["cache"] == there.Total || away.State != "lost" || away.Error == "" || back.State != "ready" || back.Losses != 1 {
		t.Errorf("before %+v\nduring %+v\nafter %+v", there, away, back)
	}
	for _, s := range p.Streams() {
		if s.Ledger.InFlight != 0 || s.Ledger.InDecoder != 0 || s.Ledger.Skipped["error"] > 0 {
			t.Errorf("%s: %+v", s.Name, s.Ledger)
		}
		if s.Decoder.Device != "cuda" && s.Name != "silent" {
			t.Errorf("%s is decoded on %q at the end: %s", s.Name, s.Decoder.Device, s.Decoder.Note)
		}
	}
	if lost := p.Summary().Skipped[gpuLost] + p.Summary().Undecoded[gpuLost]; lost == 0 {
		t.Error("nothing was lost with the device")
	}
}
