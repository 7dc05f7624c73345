package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// Bounds of an event stream.
const (
	eventsWaiting = 256              // what a slow client may fall behind before it misses some
	eventsBeat    = 15 * time.Second // how often a silent stream shows that it lives
	eventsStuck   = 10 * time.Second // how long a client may take no byte
)

// events sends events as they are made: GET /api/v1/events with `stream` and
// `type` (both may repeat or hold commas; all when absent) and `last`, how many
// past ones to begin with. A client that comes back with Last-Event-ID gets what
// it missed, as far as it is remembered. They are the sinks' CloudEvents but for
// `sequence`, which belongs to a destination. Only `detections` have no id here:
// they are not remembered. A comment tells a client that was too slow.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	streams, types := list(q["stream"]), list(q["type"])
	n, err := strconv.Atoi(q.Get("last"))
	if q.Has("last") && (err != nil || n < 0) {
		http.Error(w, "last: want a number of events", http.StatusBadRequest)
		return
	}
	wanted := func(ev *detect.Event) bool {
		return (streams == nil || slices.Contains(streams, ev.Stream)) && (types == nil || slices.Contains(types, string(ev.Type)))
	}
	sub := s.pipeline.WatchEvents(eventsWaiting)
	defer sub.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &eventWriter{w: w, c: http.NewResponseController(w)}
	out.comment("connected")
	sent := map[string]bool{} // may be in sub as well
	for _, ev := range s.recent.last(n, r.Header.Get("Last-Event-ID"), wanted) {
		out.write(ev)
		sent[ev.ID] = true
	}
	beat := time.NewTicker(eventsBeat)
	defer beat.Stop()
	var missed uint64
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			out.comment("beat")
		case ev, ok := <-sub.C:
			if !ok {
				return
			}
			if wanted(ev) && !sent[ev.ID] {
				out.write(ev)
			}
			if n := sub.Missed.Load(); n != missed {
				out.comment(fmt.Sprintf("missed %d events", n-missed))
				missed = n
			}
		}
	}
}

// list splits repeated and comma separated values; nil when there is none.
func list(values []string) (out []string) {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part != "" {
				out = append(out, strings.TrimPrefix(part, "sightline."))
			}
		}
	}
	return out
}

// eventWriter writes server-sent events until the first error.
type eventWriter struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	buf []byte
	err error
}

func (e *eventWriter) write(ev *detect.Event) {
	e.buf = fmt.Appendf(e.buf[:0], "event: sightline.%s\n", ev.Type)
	if ev.Type != detect.Detections {
		e.buf = fmt.Appendf(e.buf, "id: %s\n", ev.ID)
	}
	buf, err := sink.AppendStructured(append(e.buf, "data: "...), sink.Record{Event: ev})
	if err != nil {
		return // an event that cannot be encoded is the sinks' to report
	}
	e.send(append(buf, "\n\n"...))
}

func (e *eventWriter) comment(text string) { e.send(fmt.Appendf(e.buf[:0], ": %s\n\n", text)) }

func (e *eventWriter) send(b []byte) {
	if e.err != nil {
		return
	}
	e.buf = b
	e.c.SetWriteDeadline(time.Now().Add(eventsStuck))
	if _, e.err = e.w.Write(b); e.err == nil {
		e.err = e.c.Flush()
	}
}
