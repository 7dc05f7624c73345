// Package web answers browsers: the control API, WHIP and WHEP, metrics, and the
// page people look at. It reads a running pipeline and changes nothing in it.
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/webrtc"
	"sightline/pipelines"
	"sightline/pipelines/snapshots"
	"sightline/pipelines/spec"
	"sightline/pipelines/tally"
)

//go:embed ui
var assets embed.FS

// Pipeline is what the server needs of a running pipeline;
// *pipelines.Pipeline is one.
type Pipeline interface {
	Spec() *spec.Pipeline
	Running() bool
	Streams() []pipelines.StreamStatus
	Sinks() []pipelines.SinkStatus
	Devices() []pipelines.DeviceStatus
	EventCounts() map[detect.Type]uint64
	Tally() map[tally.Key]float64
	Latency() *pipelines.Histogram
	WatchEvents(buffer int) *pipelines.Subscription[*detect.Event]
	WatchPackets(stream string, buffer int) *pipelines.Subscription[ingest.Packet]
	WatchFrames(stream string, buffer int) *pipelines.Subscription[*decode.Frame]
	RequestKeyframe(stream string)
	Publisher(stream string) http.Handler
	Ports() *webrtc.Ports
	Snapshots() *snapshots.Status
	Snapshot(name string) (*os.File, error)
}

// Server serves one pipeline.
type Server struct {
	pipeline Pipeline
	listener net.Listener
	http     *http.Server
	viewers  *viewers
	recent   *recent
	watched  *pipelines.Subscription[*detect.Event] // what recent learns from
	encoders chan struct{}                          // one for each picture that may be encoded at a time
	end      context.CancelFunc                     // of every request
}

// Listen opens the address the pipeline's file names and builds the server, which
// Run must then serve. Beyond loopback it refuses to listen without credentials.
func Listen(p Pipeline, log *slog.Logger) (*Server, error) {
	w := p.Spec().Web
	l, err := net.Listen("tcp", w.Listen)
	if err != nil {
		return nil, fmt.Errorf("web.listen: %w", err)
	}
	ip := l.Addr().(*net.TCPAddr).IP
	auth := newAuth(p.Spec(), ip.IsLoopback())
	if !auth.loopback && !auth.required() {
		l.Close()
		return nil, fmt.Errorf("web.listen: %s is reachable from other machines: set web.auth", w.Listen)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		pipeline: p, listener: l, viewers: newViewers(p, log), recent: newRecent(p.Spec()),
		watched: p.WatchEvents(1024), encoders: make(chan struct{}, mostEncoders), end: cancel,
	}
	s.http = &http.Server{
		Handler:           auth.wrap(s.routes()),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// URL is where the page is.
func (s *Server) URL() string {
	addr := s.listener.Addr().String()
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			addr = net.JoinHostPort("127.0.0.1", port) // an address that a browser here can open
		}
	}
	return "http://" + addr + "/"
}

// Run serves until ctx ends, then ends every connection within two seconds.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		for ev := range s.watched.C {
			s.recent.add(ev)
		}
	})
	served := make(chan error, 1)
	wg.Go(func() { served <- s.http.Serve(s.listener) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	s.end() // event streams and pictures, which would hold Shutdown up
	s.viewers.close()
	deadline, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(deadline) != nil {
		s.http.Close()
	}
	s.watched.Close()
	wg.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

// routes are all paths.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	ui, err := fs.Sub(assets, "ui")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux.Handle("GET /", http.FileServerFS(ui))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("GET /api/v1/pipeline", s.describe)
	mux.HandleFunc("GET /api/v1/streams", s.streams)
	mux.HandleFunc("GET /api/v1/streams/{stream}", s.stream)
	mux.HandleFunc("GET /api/v1/streams/{stream}/frame.jpg", s.picture)
	mux.HandleFunc("GET /api/v1/sinks", s.sinks)
	mux.HandleFunc("GET /api/v1/devices", s.devices)
	mux.HandleFunc("GET /api/v1/ledger", s.ledger)
	mux.HandleFunc("GET /api/v1/events", s.events)
	mux.HandleFunc("GET /api/v1/snapshots", s.snapshots)
	mux.HandleFunc("GET /api/v1/snapshots/{date}/{stream}/{file}", s.snapshot)
	mux.HandleFunc("POST /whep/{stream}", s.viewers.start)
	mux.HandleFunc("DELETE /whep/{stream}/{viewer}", s.viewers.stop)
	for _, method := range []string{"GET", "POST", "OPTIONS", "PATCH", "DELETE"} {
		mux.HandleFunc(method+" /whip/{stream}", s.publish)
		mux.HandleFunc(method+" /whip/{stream}/{session}", s.publish)
	}
	return mux
}

// publish hands a publisher to the stream's source.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	h := s.pipeline.Publisher(r.PathValue("stream"))
	if h == nil {
		http.Error(w, "no stream of that name waits for a publisher (its url must be whip://)", http.StatusNotFound)
		return
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		// A body that never comes holds nothing up for long.
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(30 * time.Second))
	}
	h.ServeHTTP(w, r)
}
