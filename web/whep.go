package web

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v3"
)

// Bounds of WHEP.
const (
	mostViewers = 64
	largestSDP  = 128 << 10
	firstPacket = 10 * time.Second // how long a viewer waits for a stream's codec
)

// viewers are the WHEP sessions: each sends a stream's own packets to one
// browser, nothing re-encoded.
type viewers struct {
	pipeline Pipeline
	log      *slog.Logger

	mu     sync.Mutex
	open   map[string]*viewer
	closed bool
	wg     sync.WaitGroup
}

func newViewers(p Pipeline, log *slog.Logger) *viewers {
	return &viewers{pipeline: p, log: log, open: map[string]*viewer{}}
}

// start answers POST /whep/STREAM: an SDP offer in, an answer out.
func (v *viewers) start(w http.ResponseWriter, r *http.Request) {
	stream := r.PathValue("stream")
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mime != "application/sdp" {
		http.Error(w, "want an offer of type application/sdp", http.StatusUnsupportedMediaType)
		return
	}
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestSDP))
	if err != nil {
		http.Error(w, "the offer is too large", http.StatusRequestEntityTooLarge)
		return
	}
	feed, status, err := v.subscribe(r, stream)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	id := newID()
	view := &viewer{id: id, stream: stream, feed: feed, pipeline: v.pipeline, log: v.log, done: make(chan struct{})}
	answer, status, err := view.negotiate(r.Context(), string(offer))
	if err != nil {
		feed.sub.Close()
		http.Error(w, err.Error(), status)
		return
	}
	if !v.add(view) {
		view.shut()
		feed.sub.Close()
		http.Error(w, "too many viewers", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", "/whep/"+stream+"/"+id)
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer)
}

// add keeps the viewer and starts sending to it.
func (v *viewers) add(view *viewer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || len(v.open) >= mostViewers {
		return false
	}
	v.open[view.id] = view
	v.wg.Go(func() {
		view.send()
		v.mu.Lock()
		delete(v.open, view.id)
		v.mu.Unlock()
	})
	return true
}

// stop answers DELETE of what start gave as the location.
func (v *viewers) stop(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	view := v.open[r.PathValue("viewer")]
	v.mu.Unlock()
	if view == nil || view.stream != r.PathValue("stream") {
		http.Error(w, "no such viewer", http.StatusNotFound)
		return
	}
	view.shut()
	w.WriteHeader(http.StatusOK)
}

// close ends every viewer and waits for them.
func (v *viewers) close() {
	v.mu.Lock()
	v.closed = true
	for _, view := range v.open {
		view.shut()
	}
	v.mu.Unlock()
	v.wg.Wait()
}

// subscribe watches the stream and learns its codec from its first packet.
func (v *viewers) subscribe(r *http.Request, stream string) (*feed, int, error) {
	sub := v.pipeline.WatchPackets(stream, 512)
	if sub == nil {
		return nil, http.StatusNotFound, errors.New("no stream of that name")
	}
	v.pipeline.RequestKeyframe(stream)
	t := time.NewTimer(firstPacket)
	defer t.Stop()
	select {
	case p := <-sub.C:
		format, ok := formatOf(p.Codec)
		if !ok {
			sub.Close()
			return nil, http.StatusNotAcceptable, fmt.Errorf("%s cannot be sent over WebRTC: use frame.jpg", p.Codec)
		}
		return &feed{sub: sub, codec: p.Codec, format: format}, 0, nil
	case <-t.C:
		sub.Close()
		return nil, http.StatusServiceUnavailable, errors.New("the stream is not delivering")
	case <-r.Context().Done():
		sub.Close()
		return nil, http.StatusServiceUnavailable, r.Context().Err()
	}
}

// newAPI builds what one viewer negotiates with. Behind a loopback address only
// loopback candidates make sense, so a browser on another machine gets the
// address it reached.
func newAPI() (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	i := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(m, i); err != nil {
		return nil, err
	}
	e := webrtc.SettingEngine{}
	e.SetIncludeLoopbackCandidate(true)
	e.SetIPFilter(func(ip net.IP) bool { return true })
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(i), webrtc.WithSettingEngine(e)), nil
}

func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
