package pipelines

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/pipelines/spec"
)

// promptly is within which everything ends that waits for nothing, on a busy machine too.
const promptly = 20 * time.Second

// TestShutdown ends pipelines in every state that could hold them up: the drain
// timeout is the limit where something is undelivered, nothing waits for it elsewhere,
// and the accounts are complete.
func TestShutdown(t *testing.T) {
	const short, long = time.Second, 2 * promptly
	video := media(t, "vtest.mp4")
	files := fmt.Sprintf("{ one: { url: 'file:%s', pace: fastest, loop: true }, two: { url: 'file:%s', pace: fastest, loop: true } }", video, video)
	dead := `[{ name: dead, kind: kafka, brokers: ["127.0.0.1:1"], topic: t, types: [detections], buffer: 16KiB }]`
	scripted := func(s ingesttest.Script) func(*spec.Stream) ingest.Source {
		return func(st *spec.Stream) ingest.Source {
			return &ingesttest.Scripted{Stream: st.Name, Scripts: []ingesttest.Script{s}}
		}
	}
	for _, c := range []struct {
		name, streams, sinks string
		source               func(*spec.Stream) ingest.Source
		ready                func(p *Pipeline) bool
		lost                 bool
		drain                time.Duration
	}{
		{
			name: "sink blocks files", streams: files, sinks: dead, lost: true, drain: short,
			ready: func(p *Pipeline) bool {
				s := p.Sinks()[0]
				return s.State == "degraded" && s.Bytes > 14<<10 // no room for another
			},
		},
		{
			name: "engine is busy", streams: files, sinks: "[]", drain: long, // what runs completes
			ready: func(p *Pipeline) bool { return p.Summary().Inferred > 10 },
		},
		{
			name: "source holds", streams: `{ cam: { url: "rtsp://127.0.0.1:1/x" } }`, sinks: "[]", drain: long,
			source: scripted(ingesttest.Script{Hold: true}), ready: (*Pipeline).Running,
		},
		{
			name: "nobody answers", streams: `{ cam: { url: "rtsp://127.0.0.1:1/x" } }`, sinks: "[]", drain: long,
			ready: func(p *Pipeline) bool { return p.Streams()[0].State == "offline" },
		},
		{
			name: "nobody publishes", streams: `{ cam: { url: "whip://" } }`, sinks: "[]", drain: long, ready: (*Pipeline).Running,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := fmt.Sprintf("version: 1\nname: stop\ndrain_timeout: %v\ndetect: { engine: onnxruntime }\nstreams: %s\nsinks: %s\n", c.drain, c.streams, c.sinks)
			if strings.Contains(c.streams, "whip") {
				text += "web: { listen: 127.0.0.1:0 }\n"
			}
			var h heard
			o := parts(t)
			o.OnEvent, o.Source = h.event, c.source
			p := build(t, text, o)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			eventually(t, 20*time.Second, "it is in the state", func() bool { return c.ready(p) })
			cancel()
			stopped := time.Now()
			err := <-done
			if took := time.Since(stopped); took > promptly {
				t.Errorf("it took %v to end, with a drain timeout of %v", took, c.drain)
			}
			if errors.Is(err, ErrUndelivered) != c.lost || errors.Is(err, ErrStreamFailed) {
				t.Errorf("run returned %v", err)
			}
			for _, s := range p.Streams() {
				l := s.Ledger
				if l.Received != l.Decoded+sum(l.Undecoded) || l.Decoded != l.Inferred+sum(l.Skipped) || s.State != "ended" {
					t.Errorf("%s is %s with %+v", s.Name, s.State, l)
				}
				if n := h.count(s.Name, detect.Accounting); n != 1 {
					t.Errorf("%s: %d accounts", s.Name, n)
				}
			}
			if p.Frames() != 0 {
				t.Errorf("%d frames are still held", p.Frames())
			}
		})
	}
}

// TestAnUnreachableBrokerDoesNotKeepAFileFromEnding: what it did not take is told.
func TestAnUnreachableBrokerDoesNotKeepAFileFromEnding(t *testing.T) {
	o := parts(t)
	o.Source = cutFile(t, 10)
	p := build(t, fmt.Sprintf("version: 1\nname: stop\ndrain_timeout: 500ms\ndetect: { engine: onnxruntime }\nstreams: { gate: { url: 'file:%s', pace: fastest } }\n"+
		"sinks: [{ name: dead, kind: kafka, brokers: [\"127.0.0.1:1\"], topic: t }]\n", media(t, "vtest.mp4")), o)
	begin := time.Now()
	err := p.Run(t.Context())
	if !errors.Is(err, ErrUndelivered) || !strings.Contains(err.Error(), "sink dead") {
		t.Errorf("run returned %v", err)
	}
	if took := time.Since(begin); took > promptly {
		t.Errorf("it took %v", took)
	}
	if l := p.Sinks()[0].Ledger; l.Dropped["shutdown"] == 0 || l.Made != l.Filtered+sum(l.Dropped) {
		t.Errorf("%+v", l)
	}
}
