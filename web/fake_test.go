package web

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/webrtc"
	"sightline/pipelines"
	"sightline/pipelines/snapshots"
	"sightline/pipelines/spec"
	"sightline/pipelines/tally"
	"sightline/sink/snapshot"
)

// fake is a pipeline of which tests say everything.
type fake struct {
	spec    *spec.Pipeline
	streams []pipelines.StreamStatus
	sinks   []pipelines.SinkStatus
	counts  map[detect.Type]uint64
	tally   map[tally.Key]float64
	latency pipelines.Histogram
	events  chan *detect.Event
	packets chan ingest.Packet
	frames  chan *decode.Frame
	missed  uint64 // by whoever watches events
	whip    http.Handler
	ports   *webrtc.Ports // free ones on loopback when nil

	devices   []pipelines.DeviceStatus
	snapshots *snapshots.Status
	store     *snapshot.Store // nil: no pictures are kept
}

func (f *fake) Spec() *spec.Pipeline                { return f.spec }
func (f *fake) Running() bool                       { return true }
func (f *fake) Streams() []pipelines.StreamStatus   { return f.streams }
func (f *fake) Sinks() []pipelines.SinkStatus       { return f.sinks }
func (f *fake) Devices() []pipelines.DeviceStatus   { return f.devices }
func (f *fake) EventCounts() map[detect.Type]uint64 { return f.counts }
func (f *fake) Tally() map[tally.Key]float64        { return f.tally }
func (f *fake) Latency() *pipelines.Histogram       { return &f.latency }
func (f *fake) RequestKeyframe(string)              {}

func (f *fake) Ports() *webrtc.Ports {
	if f.ports != nil {
		return f.ports
	}
	ports, err := webrtc.OpenPorts(webrtc.PortsConfig{Listen: "127.0.0.1"})
	if err != nil {
		panic(err) // nothing is opened
	}
	return ports
}

func (f *fake) Snapshots() *snapshots.Status { return f.snapshots }

func (f *fake) Snapshot(name string) (*os.File, error) {
	if f.store == nil {
		return nil, fs.ErrNotExist
	}
	return f.store.Open(name)
}

func (f *fake) Publisher(stream string) http.Handler {
	if stream == "lobby" || stream == "guarded" {
		return f.whip
	}
	return nil
}

func (f *fake) WatchEvents(int) *pipelines.Subscription[*detect.Event] {
	s := &pipelines.Subscription[*detect.Event]{C: f.events}
	s.Missed.Store(f.missed)
	return s
}

func (f *fake) WatchPackets(stream string, _ int) *pipelines.Subscription[ingest.Packet] {
	if stream != "gate" {
		return nil
	}
	return &pipelines.Subscription[ingest.Packet]{C: f.packets}
}

func (f *fake) WatchFrames(stream string, _ int) *pipelines.Subscription[*decode.Frame] {
	if stream != "gate" {
		return nil
	}
	return &pipelines.Subscription[*decode.Frame]{C: f.frames}
}

const fakePipeline = `
version: 1
name: crossing
site: hq
streams:
  gate:
    url: rtsp://viewer:hunter2@127.0.0.1/main
    title: Main gate
    lines: { kerb: { points: [[0, 0.5], [1, 0.5]] }, fence: { points: [[0, 0.1], [1, 0.1]] } }
    zones: { door: { polygon: [[0, 0], [0.5, 0], [0.5, 0.5]] }, yard: { polygon: [[0.5, 0.5], [1, 0.5], [1, 1]] } }
  lobby: { url: "whip://" }
  guarded: { url: "whip://", token: lobby-t0ken }
rules:
  - { name: in-out, kind: crossing, line: kerb }
  - { name: again, kind: crossing, line: kerb }
  - { name: visits, kind: presence, zone: door }
sinks: [{ kind: jsonl, path: "-" }]
`

// newFake makes a pipeline whose file ends with web.
func newFake(t testing.TB, web string) *fake {
	t.Helper()
	sp, err := spec.Parse("fake.yaml", []byte(fakePipeline+web), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return &fake{
		spec: sp, events: make(chan *detect.Event, 16), packets: make(chan ingest.Packet, 16), frames: make(chan *decode.Frame, 1),
		whip: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "whip "+r.PathValue("session")) }),
	}
}

const onLoopback = "web: { listen: \"127.0.0.1:0\" }\n"

// serve runs a server of p until the test ends.
func serve(t testing.TB, p Pipeline) *Server {
	t.Helper()
	s, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		begun := time.Now()
		if f, ok := p.(*fake); ok {
			close(f.events)
		}
		if err := <-ended; err != nil {
			t.Errorf("the server failed: %v", err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("the server took %s to end", took)
		}
	})
	return s
}

// request asks a server that need not run.
func request(t testing.TB, p Pipeline, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	s, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

func crossing(id, track, direction string, at time.Time) *detect.Event {
	return &detect.Event{
		Site: "hq", Stream: "gate", Type: detect.LineCrossed, ID: id, Subject: "track/" + track, Time: at, Severity: detect.Info,
		Data: detect.Data{Stream: detect.StreamInfo{Site: "hq", Name: "gate"}, Line: &detect.LineInfo{Name: "kerb", Direction: direction}},
	}
}

func visit(typ detect.Type, track string, occupancy *int) *detect.Event {
	return &detect.Event{
		Site: "hq", Stream: "gate", Type: typ, ID: string(typ) + track, Subject: "track/" + track,
		Data: detect.Data{Stream: detect.StreamInfo{Site: "hq", Name: "gate"}, Zone: &detect.ZoneInfo{Name: "door", Occupancy: occupancy}},
	}
}

// until polls until done says so.
func until(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come about within %s", what, limit)
		}
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }
