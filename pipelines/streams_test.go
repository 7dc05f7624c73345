package pipelines

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestTwoStreamsOfOneCamera analyzes the small stream of a camera while people
// watch the large one: both are dated by the same clock, so boxes find their
// pictures.
func TestTwoStreamsOfOneCamera(t *testing.T) {
	server := serveClips(t, "")
	o := parts(t)
	var h heard
	o.OnEvent = h.event
	p := build(t, fmt.Sprintf(`version: 1
name: two
detect: { engine: onnxruntime, fps: 5, input: 128x96 }
sinks: []
streams: { gate: { urls: { main: '%s', sub: '%s' }, transport: tcp } }
`, server.URL("large"), server.URL("small")), o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	status := func() StreamStatus { return p.Streams()[0] }
	eventually(t, 20*time.Second, "the small one is inferred", func() bool { return status().Ledger.Inferred > 2 })
	if s := status(); s.View == nil || s.View.State != "idle" || s.View.Input.Connects != 0 || s.Width != 160 || s.Input.URL != server.URL("small") {
		t.Errorf("%+v, view %+v", s, s.View)
	}
	watching := p.WatchPackets("gate", 100)
	seen := 0
	for packet := range watching.C {
		if seen++; seen == 10 {
			break
		}
		if packet.Clock.Source != "rtcp_sr" {
			continue // no report yet
		}
		h.mu.Lock()
		latest := h.all[len(h.all)-1].Time
		h.mu.Unlock()
		if apart := packet.Captured.Sub(latest).Abs(); apart > time.Second {
			t.Errorf("a picture people see was captured %v from the last event", apart)
		}
	}
	if s := status(); s.View.State != "online" || s.View.Packets < 10 || s.View.Codec != "h264" || s.Clock == nil || s.Clock.Source != "rtcp_sr" {
		t.Errorf("%+v, view %+v, clock %+v", s, s.View, s.Clock)
	}
	watching.Close()
	cancel()
	stopped := time.Now()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > promptly {
		t.Errorf("it took %v to end", took)
	}
}

// TestAStreamThatIsNotAnalyzed needs no network: nothing is decoded but for who
// watches frames.
func TestAStreamThatIsNotAnalyzed(t *testing.T) {
	server := serveClips(t, "")
	p := build(t, fmt.Sprintf(`version: 1
name: shown
detect: { model: no-such-model }
sinks: []
streams: { gate: { url: '%s', transport: tcp, detect: { enabled: false } } }
`, server.URL("small")), Options{Logger: quietLog()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	status := func() StreamStatus { return p.Streams()[0] }
	eventually(t, 20*time.Second, "it is online", func() bool { return status().State == "online" && status().Packets > 10 })
	if l := status().Ledger; l.Decoded != 0 || l.Undecoded["no_consumer"] == 0 {
		t.Errorf("nobody watches, and %+v", l)
	}
	frames := p.WatchFrames("gate", 1)
	f := <-frames.C
	if f.Width != 160 {
		t.Errorf("a frame of %d×%d", f.Width, f.Height)
	}
	f.Release()
	frames.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if l := status().Ledger; l.Received != l.Decoded+sum(l.Undecoded) || l.Decoded != sum(l.Skipped) || l.Inferred != 0 || p.Frames() != 0 {
		t.Errorf("%+v, %d frames held", l, p.Frames())
	}
}
