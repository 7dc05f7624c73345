package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/file"
	"sightline/internal/testkit"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

// station is a whole pipeline with its page, in this process.
type station struct {
	*Server
	pipeline *pipelines.Pipeline

	mu     sync.Mutex
	events []*detect.Event
}

// newStation runs a pipeline file until the test ends, and sees to it that
// nothing is left then.
func newStation(t *testing.T, file string, values map[string]string) *station {
	t.Helper()
	model := testkit.Dep(t, "models/coco-nano.onnx")
	sp, err := spec.Parse("station.yaml", []byte(file), nil, func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	s := &station{}
	deps := filepath.Join(testkit.Root(t), ".deps")
	s.pipeline, err = pipelines.New(sp, pipelines.Options{
		LibDirs:   []string{filepath.Join(deps, "onnxruntime", "lib"), filepath.Join(deps, "openvino", "lib")},
		ModelDirs: []string{filepath.Dir(model)},
		OnEvent: func(ev *detect.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, ev)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = serve(t, s.pipeline)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.pipeline.Run(ctx) // streams of tests may fail
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// leavesNothing fails the test when goroutines are left at its very end; it is
// to be called before everything that is cleaned up.
func leavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// cameras serves files over RTSP, each in a loop, until the test ends.
func cameras(t *testing.T, paths map[string]string) *camera.Server {
	t.Helper()
	streams := map[string]ingest.Source{}
	for name, path := range paths {
		c := file.Defaults()
		c.Path, c.Loop = path, true
		source, err := file.New(c, name, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		streams[name] = source
	}
	s, err := camera.Serve(context.Background(), camera.Config{Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// of are the events of a stream and type so far, in order.
func (s *station) of(stream string, typ detect.Type) []*detect.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*detect.Event
	for _, ev := range s.events {
		if ev.Stream == stream && ev.Type == typ {
			out = append(out, ev)
		}
	}
	return out
}

// shownAt is a stream's detections by the RTP time of their picture.
func (s *station) shownAt(stream string) map[uint32]*detect.Event {
	out := map[uint32]*detect.Event{}
	for _, ev := range s.of(stream, detect.Detections) {
		out[RTPTime(ev.Time)] = ev
	}
	return out
}

func (s *station) state(stream string) pipelines.StreamStatus {
	all := s.pipeline.Streams()
	return all[slices.IndexFunc(all, func(st pipelines.StreamStatus) bool { return st.Name == stream })]
}

// chromium is the browser's path.
func chromium(t *testing.T) string {
	t.Helper()
	testkit.Dep(t, "node/node_modules/playwright-core")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testkit.Require(t, "chromium", false, "install the Debian package chromium")
	return ""
}

const browserTime = 75 * time.Second

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", url, resp.StatusCode, err)
	}
	return string(body)
}

// withLogin puts the credentials of a test's pipeline into a URL.
func withLogin(url string) string { return strings.Replace(url, "://", "://anna:s3cret@", 1) }
