package pipelines

import (
	"maps"
	"sync"

	"sightline/detect"
)

// What a tally counts.
const (
	TallyCrossed   = "crossed"   // line.crossed, by place, rule, class, direction
	TallyEntered   = "entered"   // zone.entered, by place, rule, class
	TallyExited    = "exited"    // zone.exited, the same
	TallyVisited   = "visited"   // seconds in the zone of those that exited, the same
	TallyDwelt     = "dwelt"     // zone.dwell, the same
	TallyOccupancy = "occupancy" // the last zone.occupancy, by place and rule
	TallyStarted   = "started"   // object.started, by class
	TallyEnded     = "ended"     // object.ended, by class
)

// TallyKey is one number of a tally. What does not apply is empty.
type TallyKey struct {
	What      string
	Stream    string
	Place     string // line or zone
	Rule      string // two rules of one line count each crossing twice
	Class     string
	Direction string
}

// mostClasses of a stream have numbers of their own; others are counted as one.
// Everything else in a key is a name of the file.
const (
	mostClasses  = 128
	otherClasses = "other"
)

// tally makes numbers of events as they are made, before anything may be dropped. Any
// goroutine may use it.
type tally struct {
	mu      sync.Mutex
	n       map[TallyKey]float64
	classes map[string]map[string]bool // seen, by stream
}

func (t *tally) event(ev *detect.Event) {
	d := &ev.Data
	key := TallyKey{Stream: ev.Stream}
	if d.Rule != nil {
		key.Rule = d.Rule.Name
	}
	if d.Zone != nil {
		key.Place = d.Zone.Name
	}
	if d.Line != nil {
		key.Place, key.Direction = d.Line.Name, d.Line.Direction
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.Object != nil {
		key.Class = t.class(ev.Stream, d.Object.Class)
	}
	switch ev.Type {
	case detect.LineCrossed:
		t.add(key, TallyCrossed, 1)
	case detect.ZoneEntered:
		t.add(key, TallyEntered, 1)
	case detect.ZoneExited:
		t.add(key, TallyExited, 1)
		if d.Zone != nil && d.Zone.DwellS != nil {
			t.add(key, TallyVisited, *d.Zone.DwellS)
		}
	case detect.ZoneDwell:
		t.add(key, TallyDwelt, 1)
	case detect.ZoneOccupancy:
		if d.Zone != nil && d.Zone.Occupancy != nil {
			key.What, key.Class = TallyOccupancy, ""
			t.set(key, float64(*d.Zone.Occupancy))
		}
	case detect.ObjectStarted:
		t.add(TallyKey{Stream: ev.Stream, Class: key.Class}, TallyStarted, 1)
	case detect.ObjectEnded:
		t.add(TallyKey{Stream: ev.Stream, Class: key.Class}, TallyEnded, 1)
	}
}

func (t *tally) add(key TallyKey, what string, n float64) {
	key.What = what
	t.set(key, t.n[key]+n)
}

func (t *tally) set(key TallyKey, v float64) {
	if t.n == nil {
		t.n = map[TallyKey]float64{}
	}
	t.n[key] = v
}

// class bounds how many classes of a stream are told apart.
func (t *tally) class(stream, name string) string {
	if t.classes == nil {
		t.classes = map[string]map[string]bool{}
	}
	seen := t.classes[stream]
	if seen == nil {
		seen = map[string]bool{}
		t.classes[stream] = seen
	}
	if !seen[name] && len(seen) >= mostClasses {
		return otherClasses
	}
	seen[name] = true
	return name
}

// Tally is what the events made so far add up to. None is missed, whatever becomes of
// them on their way to a sink.
func (p *Pipeline) Tally() map[TallyKey]float64 {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	return maps.Clone(p.tally.n)
}
