package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"sync"
	"time"

	"sightline/ingest"
	"sightline/ingest/webrtc"
	"sightline/pipelines"
	"sightline/pipelines/spec"
)

// Bounds of WHEP.
const (
	mostViewers   = 64
	offerArrives  = 10 * time.Second // how long the body of an offer may take
	firstPacket   = 10 * time.Second // how long a viewer waits for a stream to deliver
	packetsBehind = 512              // what a viewer may fall behind before it misses some
)

// viewers are the WHEP sessions: each sends a stream's own packets to one
// browser, nothing re-encoded.
type viewers struct {
	pipeline Pipeline
	log      *slog.Logger

	mu        sync.Mutex
	open      map[string]*viewer
	places    int             // taken by sessions and offers under way
	reordered map[string]bool // streams found to have pictures that are shown in another order than sent
	closed    bool
	wg        sync.WaitGroup
}

func newViewers(p Pipeline, log *slog.Logger) *viewers {
	return &viewers{pipeline: p, log: log, open: map[string]*viewer{}, reordered: map[string]bool{}}
}

// start answers POST /whep/STREAM: an SDP offer in, an answer out. 406 says that
// this stream cannot be had over WebRTC, or not by this browser: frame.jpg can.
func (v *viewers) start(w http.ResponseWriter, r *http.Request) {
	stream := r.PathValue("stream")
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/sdp" {
		w.Header().Set("Accept-Post", "application/sdp")
		http.Error(w, "want an offer of type application/sdp", http.StatusUnsupportedMediaType)
		return
	}
	deadline := http.NewResponseController(w)
	deadline.SetReadDeadline(time.Now().Add(offerArrives))
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webrtc.MaxSDP))
	if err != nil {
		http.Error(w, "the offer is too large or did not arrive", http.StatusRequestEntityTooLarge)
		return
	}
	deadline.SetReadDeadline(time.Time{})
	if !v.enter() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many viewers", http.StatusServiceUnavailable)
		return
	}
	answer, id, err := v.admit(r.Context(), stream, string(offer))
	if err != nil {
		v.leave()
		status := http.StatusInternalServerError
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			status = refused.status
		}
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", "/whep/"+stream+"/"+id)
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer)
}

// refusal is why an offer is not taken, with its HTTP status.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// enter takes a place, if one is free; leave or the session's end gives it back.
func (v *viewers) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.places >= mostViewers {
		return false
	}
	v.places++
	return true
}

func (v *viewers) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.places--
}

// admit begins a session.
func (v *viewers) admit(ctx context.Context, stream, offer string) (answer, id string, err error) {
	feed, err := v.subscribe(ctx, stream)
	if err != nil {
		return "", "", err
	}
	view := &viewer{
		id: newID(), stream: stream, feed: feed, pipeline: v.pipeline,
		connected: make(chan struct{}), done: make(chan struct{}),
	}
	if answer, err = view.negotiate(ctx, offer); err != nil {
		feed.sub.Close()
		return "", "", err
	}
	if !v.begin(view) {
		view.peer.GracefulClose()
		feed.sub.Close()
		return "", "", refuse(http.StatusServiceUnavailable, "the server is about to end")
	}
	v.log.Debug("viewer came", "stream", stream, "viewer", view.id, "codec", feed.codec)
	return answer, view.id, nil
}

// begin keeps the viewer and sends to it until it ends.
func (v *viewers) begin(view *viewer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.open[view.id] = view
	v.wg.Go(func() {
		err := view.send()
		view.peer.GracefulClose() // its errors are about what is gone already
		view.feed.sub.Close()
		v.log.Debug("viewer gone", "stream", view.stream, "viewer", view.id, "cause", err)
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.open, view.id)
		v.places--
		if errors.Is(err, errReordered) {
			v.reordered[view.stream] = true
		}
	})
	return true
}

// stop answers DELETE of what start gave as the location.
func (v *viewers) stop(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	view := v.open[r.PathValue("viewer")]
	if view != nil && view.stream != r.PathValue("stream") {
		view = nil
	}
	if view != nil {
		delete(v.open, view.id) // whom close need not end any more; it waits for its end all the same
	}
	v.mu.Unlock()
	if view == nil {
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

// subscribe watches the stream and learns its codec from its first packet, which
// the feed keeps: it may be the keyframe that was asked for.
func (v *viewers) subscribe(ctx context.Context, stream string) (*feed, error) {
	v.mu.Lock()
	reordered := v.reordered[stream]
	v.mu.Unlock()
	streams := v.pipeline.Spec().Streams
	if i := slices.IndexFunc(streams, func(s spec.Stream) bool { return s.Name == stream }); i >= 0 && streams[i].Pace == "fastest" {
		return nil, refuse(http.StatusNotAcceptable, "a file that is read as fast as possible cannot be played: use frame.jpg")
	}
	if reordered {
		return nil, refuse(http.StatusNotAcceptable, "pictures in another order than sent cannot be played over WebRTC: use frame.jpg")
	}
	sub := v.pipeline.WatchPackets(stream, packetsBehind)
	if sub == nil {
		return nil, refuse(http.StatusNotFound, "no stream of that name")
	}
	v.pipeline.RequestKeyframe(stream)
	f, err := v.first(ctx, sub)
	if err != nil {
		sub.Close()
	}
	return f, err
}

func (v *viewers) first(ctx context.Context, sub *pipelines.Subscription[ingest.Packet]) (*feed, error) {
	t := time.NewTimer(firstPacket)
	defer t.Stop()
	select {
	case p := <-sub.C:
		if _, ok := formats[p.Codec]; !ok {
			return nil, refuse(http.StatusNotAcceptable, "%s cannot be sent over WebRTC: use frame.jpg", p.Codec)
		}
		return &feed{sub: sub, codec: p.Codec, first: p}, nil
	case <-t.C:
		return nil, refuse(http.StatusServiceUnavailable, "the stream is not delivering")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
