package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sightline/detect"
	"sightline/pipelines/spec"
	"sightline/sink"
)

// recent remembers the latest events and adds up what the page shows as counts.
type recent struct {
	mu     sync.Mutex
	events []*detect.Event // newest last; without detections
	lines  map[[2]string]map[string]int
	zones  map[[2]string]*int
}

const recentEvents = 100

func newRecent(sp *spec.Pipeline) *recent {
	r := &recent{lines: map[[2]string]map[string]int{}, zones: map[[2]string]*int{}}
	for _, st := range sp.Streams {
		for _, l := range st.Lines {
			r.lines[[2]string{st.Name, l.Name}] = map[string]int{"forward": 0, "backward": 0}
		}
	}
	return r
}

func (r *recent) add(ev *detect.Event) {
	if ev.Type == detect.Detections {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events = append(r.events, ev); len(r.events) > recentEvents {
		r.events = slices.Delete(r.events, 0, 1)
	}
	switch ev.Type {
	case detect.LineCrossed:
		if counts := r.lines[[2]string{ev.Stream, ev.Data.Line.Name}]; counts != nil {
			counts[ev.Data.Line.Direction]++
		}
	case detect.ZoneOccupancy, detect.ZoneEntered, detect.ZoneExited:
		if n := ev.Data.Zone.Occupancy; n != nil {
			r.zones[[2]string{ev.Stream, ev.Data.Zone.Name}] = n
		}
	}
}

func (r *recent) crossings(stream, line string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for k, v := range r.lines[[2]string{stream, line}] {
		out[k] = v
	}
	return out
}

func (r *recent) occupancy(stream, zone string) *int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.zones[[2]string{stream, zone}]
}

// last returns the newest n events, oldest first.
func (r *recent) last(n int) []*detect.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[max(0, len(r.events)-n):])
}

// events sends events as they are made: GET /api/v1/events with `stream` and
// `type` (both may repeat or hold commas; all when absent) and `last`, how many
// past ones to begin with.
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
	sub := s.pipeline.WatchEvents(256)
	defer sub.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &eventWriter{w: w, c: http.NewResponseController(w)}
	for _, ev := range s.recent.last(n) {
		if wanted(ev) {
			out.write(ev)
		}
	}
	out.comment("connected")
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			out.comment("beat")
		case ev := <-sub.C:
			if wanted(ev) {
				out.write(ev)
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
	e.buf = fmt.Appendf(e.buf[:0], "event: sightline.%s\nid: %s\ndata: ", ev.Type, ev.ID)
	buf, err := sink.AppendStructured(e.buf, sink.Record{Event: ev})
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
	e.c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, e.err = e.w.Write(b); e.err == nil {
		e.err = e.c.Flush()
	}
}
