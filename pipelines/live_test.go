package pipelines

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/file"
	"sightline/internal/testkit/events"
	"sightline/sink/kafka"
	"sightline/sink/kafka/embedded"
)

// serve is an RTSP camera that plays a video over and over, at an address or any.
func serve(t *testing.T, listen, video string) *camera.Server {
	t.Helper()
	c := file.Defaults()
	c.Path, c.Loop = video, true
	s, err := file.New(c, "main", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server, err := camera.Serve(context.Background(), camera.Config{Listen: listen, Streams: map[string]ingest.Source{"main": s}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// heard notes what OnEvent is told.
type heard struct {
	mu   sync.Mutex
	all  []*detect.Event
	when []time.Time
}

func (h *heard) event(e *detect.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.when = append(h.all, e), append(h.when, time.Now())
}

func (h *heard) count(stream string, typ detect.Type) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Stream == stream && e.Type == typ {
			n++
		}
	}
	return n
}

// longest is the longest time between two events of that kind.
func (h *heard) longest(stream string, typ detect.Type) (gap time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var last time.Time
	for i, e := range h.all {
		if e.Stream == stream && e.Type == typ {
			if !last.IsZero() {
				gap = max(gap, h.when[i].Sub(last))
			}
			last = h.when[i]
		}
	}
	return gap
}

// TestLive runs two cameras into a broker that works, one that is not there with
// room for everything, and one that is not there with room for little. One camera
// dies and comes back.
func TestLive(t *testing.T) {
	o := parts(t)
	mortal, steady := serve(t, "", media(t, "vtest.mp4")), serve(t, "", media(t, "vtest-south.mp4"))
	broker, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	out := filepath.Join(t.TempDir(), "events.jsonl")
	text := fmt.Sprintf(`version: 1
name: live
drain_timeout: 2s
detect: { engine: onnxruntime, fps: 5, classes: [person] }
streams:
  mortal: { url: "%s", transport: tcp }
  steady: { url: "%s", transport: tcp }
sinks:
  - { name: events, kind: kafka, brokers: ["%s"], topic: live }
  - { name: roomy, kind: kafka, brokers: ["127.0.0.1:1"], topic: live }
  - { name: tight, kind: kafka, brokers: ["127.0.0.1:1"], topic: live, types: [detections], buffer: 16KiB }
  - { name: all, kind: jsonl, path: '%s', types: [%s] }
`, mortal.URL("main"), steady.URL("main"), broker.Addr(), out, everything)
	var h heard
	o.OnEvent = h.event
	p := build(t, text, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	eventually(t, 30*time.Second, "people are found on both", func() bool {
		return h.count("mortal", detect.ObjectStarted) > 0 && h.count("steady", detect.Detections) > 5
	})
	address := strings.TrimSuffix(strings.TrimPrefix(mortal.URL("main"), "rtsp://"), "/main")
	mortal.Close()
	eventually(t, 15*time.Second, "it is offline", func() bool { return h.count("mortal", detect.StreamOffline) > 0 })
	eventually(t, 15*time.Second, "it says so", func() bool { return p.Streams()[0].State == "offline" })
	before, started := h.count("steady", detect.Detections), h.count("mortal", detect.ObjectStarted)
	serve(t, address, media(t, "vtest.mp4"))
	eventually(t, 30*time.Second, "it is back", func() bool { return h.count("mortal", detect.StreamOnline) == 2 })
	eventually(t, 30*time.Second, "people are found again", func() bool {
		return p.Streams()[0].State == "online" && h.count("mortal", detect.ObjectStarted) > started && h.count("steady", detect.Detections) > before+10
	})
	cancel()
	stopped := time.Now()
	err = <-done
	if took := time.Since(stopped); took > promptly {
		t.Errorf("it took %v to end, with a drain timeout of 2 s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "sink roomy: events were not delivered") || !strings.Contains(err.Error(), "sink tight: ") || strings.Contains(err.Error(), "sink events") {
		t.Errorf("run returned %v", err)
	}
	if gap := h.longest("steady", detect.Detections); gap > 5*time.Second {
		t.Errorf("the other camera paused for %v", gap)
	}
	lives(t, written(t, out))
	delivered(t, p, broker.Addr(), written(t, out))
}

// lives checks the two lives of the mortal camera.
func lives(t *testing.T, all []told) {
	t.Helper()
	epochs, ended := map[string]bool{}, map[string]int{}
	for _, e := range all {
		if e.Data.Stream.Name != "mortal" {
			continue
		}
		switch e.Type {
		case "stream.online":
			epochs[e.Data.Stream.Epoch] = true
		case "object.ended":
			ended[fmt.Sprint(e.Data.Reason)]++
		case "stream.offline":
			if len(epochs) == 1 && strings.Contains(e.raw, `"code":"shutdown"`) || !strings.Contains(e.raw, `"reason":{"code":"`) {
				t.Errorf("offline without its reason: %s", e.raw)
			}
		}
	}
	if len(epochs) != 2 || ended["stream_ended"] == 0 || ended["shutdown"] == 0 {
		t.Errorf("%d epochs, objects ended by reason: %v", len(epochs), ended)
	}
}

// delivered compares what each sink made of the events with what was told.
func delivered(t *testing.T, p *Pipeline, broker string, all []told) {
	t.Helper()
	sinks := map[string]SinkStatus{}
	for _, s := range p.Sinks() {
		sinks[s.Name] = s
		l := s.Ledger
		if l.Made != l.Filtered+l.Acknowledged+l.Spooled+l.DeadLettered+l.Expired+sum(l.Dropped) {
			t.Errorf("sink %s: %+v", s.Name, l)
		}
	}
	if l := sinks["roomy"].Ledger; l.Dropped["queue_full"] != 0 || l.Dropped["shutdown"] == 0 {
		t.Errorf("a sink with room enough: %+v", l)
	}
	if l := sinks["tight"].Ledger; l.Dropped["queue_full"] == 0 {
		t.Errorf("a sink with little room: %+v", l)
	}
	var want []string
	for _, e := range all {
		if e.Type != "detections" {
			want = append(want, e.ID)
		}
	}
	got := tail(t, broker, int(sinks["events"].Ledger.Acknowledged))
	// The sinks that fail are news for the sink that works, but are no stream's.
	got = slices.DeleteFunc(got, func(e told) bool { return e.Type == "sink.degraded" })
	promises(t, got)
	var ids []string
	for _, e := range got {
		ids = append(ids, e.ID)
	}
	slices.Sort(want)
	slices.Sort(ids)
	if !slices.Equal(ids, want) {
		t.Errorf("%d events read back from Kafka, %d in the file", len(ids), len(want))
	}
	if n, _ := p.Latency().Count(); n == 0 || p.Latency().Quantile(0.95) > 3*time.Second {
		t.Errorf("%d latencies, p95 %v", n, p.Latency().Quantile(0.95))
	}
}

// tail reads n events back.
func tail(t *testing.T, broker string, n int) (all []told) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := kafka.Defaults()
	c.Brokers, c.Topic = []string{broker}, "live"
	err := kafka.Tail(ctx, c, time.Time{}, func(m kafka.Message) error {
		events.Validate(t, m.Value)
		all = append(all, read(t, m.Value))
		if len(all) == n {
			cancel()
		}
		return nil
	})
	if err != nil || len(all) != n {
		t.Errorf("%d events read back, want %d: %v", len(all), n, err)
	}
	return all
}
