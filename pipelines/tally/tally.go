// Package tally adds events up to the numbers that people ask for: how many crossed, came,
// stayed. None is missed, whatever becomes of the events on their way to a sink.
package tally

import (
	"maps"
	"sync"

	"sightline/detect"
)

// What a Tally counts.
const (
	Crossed   = "crossed"   // line.crossed, by place, rule, class, direction
	Entered   = "entered"   // zone.entered, by place, rule, class
	Exited    = "exited"    // zone.exited, the same
	Visited   = "visited"   // seconds in the zone of those that exited, the same
	Dwelt     = "dwelt"     // zone.dwell, the same
	Occupancy = "occupancy" // the last zone.occupancy, by place and rule
	Started   = "started"   // object.started, by class
	Ended     = "ended"     // object.ended, by class
)

// Key is one number of a Tally. What does not apply is empty.
type Key struct {
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

// Tally makes numbers of events as they are made. The zero value is ready; any goroutine
// may use it.
type Tally struct {
	mu      sync.Mutex
	n       map[Key]float64
	classes map[string]map[string]bool // seen, by stream
}

// Add counts an event.
func (t *Tally) Add(ev *detect.Event) {
	d := &ev.Data
	key := Key{Stream: ev.Stream}
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
		t.raise(key, Crossed, 1)
	case detect.ZoneEntered:
		t.raise(key, Entered, 1)
	case detect.ZoneExited:
		t.raise(key, Exited, 1)
		if d.Zone != nil && d.Zone.DwellS != nil {
			t.raise(key, Visited, *d.Zone.DwellS)
		}
	case detect.ZoneDwell:
		t.raise(key, Dwelt, 1)
	case detect.ZoneOccupancy:
		if d.Zone != nil && d.Zone.Occupancy != nil {
			key.What, key.Class = Occupancy, ""
			t.set(key, float64(*d.Zone.Occupancy))
		}
	case detect.ObjectStarted:
		t.raise(Key{Stream: ev.Stream, Class: key.Class}, Started, 1)
	case detect.ObjectEnded:
		t.raise(Key{Stream: ev.Stream, Class: key.Class}, Ended, 1)
	}
}

func (t *Tally) raise(key Key, what string, n float64) {
	key.What = what
	t.set(key, t.n[key]+n)
}

func (t *Tally) set(key Key, v float64) {
	if t.n == nil {
		t.n = map[Key]float64{}
	}
	t.n[key] = v
}

// class bounds how many classes of a stream are told apart.
func (t *Tally) class(stream, name string) string {
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

// Numbers is what the events so far add up to: a copy.
func (t *Tally) Numbers() map[Key]float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.n)
}
