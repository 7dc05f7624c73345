package web

import (
	"slices"
	"strings"
	"sync"
	"time"

	"sightline/detect"
	"sightline/pipelines/spec"
)

// recent remembers the latest events and adds up what the page shows as counts.
// Its methods may be called from any goroutine.
type recent struct {
	mu     sync.Mutex
	events []*detect.Event // newest last; without detections
	lines  map[place]*lineCount
	zones  map[place]*zoneCount
}

const recentEvents = 200

// place is a line or zone of a stream.
type place struct{ stream, name string }

// lineCount adds up a line's crossings. Two rules may tell of the same one.
type lineCount struct {
	forward, backward int
	at                time.Time // of the latest crossing
	tracks            []string  // that crossed then
}

// zoneCount is who is in a zone: what a rule says, or whom rules saw enter.
type zoneCount struct {
	told   *int           // by the latest zone.occupancy
	inside map[string]int // by track: how many rules have it inside
}

// newRecent counts where a rule tells of it: elsewhere nothing is known.
func newRecent(sp *spec.Pipeline) *recent {
	r := &recent{lines: map[place]*lineCount{}, zones: map[place]*zoneCount{}}
	for i := range sp.Streams {
		st := &sp.Streams[i]
		for _, rule := range sp.Rules {
			if !rule.AppliesTo(st) {
				continue
			}
			switch rule.Kind {
			case "crossing":
				r.lines[place{st.Name, rule.Line}] = &lineCount{}
			case "presence", "occupancy":
				r.zones[place{st.Name, rule.Zone}] = &zoneCount{inside: map[string]int{}}
			}
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
		r.forget()
	}
	switch ev.Type {
	case detect.LineCrossed:
		if c := r.lines[place{ev.Stream, ev.Data.Line.Name}]; c != nil {
			c.add(ev)
		}
	case detect.ZoneOccupancy, detect.ZoneEntered, detect.ZoneExited:
		if c := r.zones[place{ev.Stream, ev.Data.Zone.Name}]; c != nil {
			c.add(ev)
		}
	}
}

// forget drops the oldest event. Objects come and go so often that they have half
// of the room: they shall not push out why a camera went away.
func (r *recent) forget() {
	object := func(ev *detect.Event) bool { return strings.HasPrefix(string(ev.Type), "object.") }
	objects, oldest := 0, -1
	for i, ev := range r.events {
		if object(ev) {
			objects++
		}
		if object(ev) && oldest < 0 {
			oldest = i
		}
	}
	if objects <= recentEvents/2 {
		oldest = slices.IndexFunc(r.events, func(ev *detect.Event) bool { return !object(ev) })
	}
	r.events = slices.Delete(r.events, oldest, oldest+1)
}

func (c *lineCount) add(ev *detect.Event) {
	if !ev.Time.Equal(c.at) {
		c.at, c.tracks = ev.Time, c.tracks[:0]
	}
	if slices.Contains(c.tracks, ev.Subject) {
		return
	}
	c.tracks = append(c.tracks, ev.Subject)
	if ev.Data.Line.Direction == "backward" {
		c.backward++
	} else {
		c.forward++
	}
}

func (c *zoneCount) add(ev *detect.Event) {
	switch ev.Type {
	case detect.ZoneOccupancy:
		c.told = ev.Data.Zone.Occupancy
	case detect.ZoneEntered:
		c.inside[ev.Subject]++
	case detect.ZoneExited:
		if c.inside[ev.Subject]--; c.inside[ev.Subject] <= 0 {
			delete(c.inside, ev.Subject)
		}
	}
}

// crossings are those of a line by direction; nil where no rule counts them.
func (r *recent) crossings(stream, line string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.lines[place{stream, line}]
	if c == nil {
		return nil
	}
	return map[string]int{"forward": c.forward, "backward": c.backward}
}

// occupancy is how many are in a zone; nil where no rule tells.
func (r *recent) occupancy(stream, zone string) *int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.zones[place{stream, zone}]
	if c == nil {
		return nil
	}
	n := len(c.inside)
	if c.told != nil {
		n = *c.told
	}
	return &n
}

// last returns the newest n events that are wanted, oldest first; those after the
// one called since, where that is still known.
func (r *recent) last(n int, since string, wanted func(*detect.Event) bool) (out []*detect.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	known := slices.IndexFunc(events, func(ev *detect.Event) bool { return ev.ID == since })
	if known >= 0 {
		events, n = events[known+1:], recentEvents
	}
	for i := len(events) - 1; i >= 0 && len(out) < n; i-- {
		if wanted(events[i]) {
			out = append(out, events[i])
		}
	}
	slices.Reverse(out)
	return out
}
