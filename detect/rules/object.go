package rules

import (
	"math"
	"slices"
	"time"

	"sightline/detect"
)

// States of an object.
const (
	active     = "active"
	stationary = "stationary" // has stayed within stillRadius for stillAfter
	lost       = "lost"       // was not seen for lostAfter, or its track has ended so
)

const (
	stillAfter  = 5 * time.Second
	stillRadius = 0.3 // of the geometric mean of its box's sides
	lostAfter   = time.Second
	// borderMargin is how near to the picture's border, in parts of it, a last
	// box must be for its object to have left rather than been lost.
	borderMargin = 0.02
)

// object is one confirmed track as events tell of it.
type object struct {
	id          string
	class       string
	score       float64
	box         detect.Rect // the last it took
	first, last time.Time
	state       string
	inside      []bool // by zone
	path        path
	home        detect.Point // where it has been since homeAt
	homeAt      time.Time

	told     snapshot // what the last event told
	toldAt   time.Time
	ordinals map[ordinalKey]uint64
}

type snapshot struct {
	class, state string
	zones        []string
	box          detect.Rect
}

type ordinalKey struct {
	typ  detect.Type
	rule string
}

// observe takes what a scene says about the object.
func (o *object) observe(s detect.Scene, t *detect.Track, zones []Zone) {
	o.class, o.first, o.last = t.Class, t.FirstSeen, t.LastSeen
	if t.Detection >= 0 || o.homeAt.IsZero() {
		o.score, o.box = t.Score, t.Box
		o.path.add(s.At.Sub(o.first), t.Box.Bottom())
		for i := range zones {
			o.inside[i] = zones[i].still(zones[i].Anchor.of(t.Box), o.inside[i])
		}
		o.settle(s)
	}
	switch {
	case s.At.Sub(o.last) >= lostAfter:
		o.state = lost
	case s.At.Sub(o.homeAt) >= stillAfter:
		o.state = stationary
	default:
		o.state = active
	}
}

// settle moves the place the object is at home in once it has moved away,
// measured in pixels.
func (o *object) settle(s detect.Scene) {
	w, h := max(float64(s.Frame.Width), 1), max(float64(s.Frame.Height), 1)
	c := o.box.Center()
	away := math.Hypot((c.X-o.home.X)*w, (c.Y-o.home.Y)*h)
	if o.homeAt.IsZero() || away > stillRadius*math.Sqrt(o.box.W*w*o.box.H*h) {
		o.home, o.homeAt = c, s.At
	}
}

// snapshot is the state that updates are about.
func (o *object) snapshot(zones []Zone) snapshot {
	n := snapshot{class: o.class, state: o.state, box: o.box}
	for i, in := range o.inside {
		if in {
			n.zones = append(n.zones, zones[i].Name)
		}
	}
	return n
}

// changes returns what differs between two snapshots, and whether that alone is
// worth an event.
func (n snapshot) changes(old snapshot) (names []string, worth bool) {
	if n.class != old.class {
		names = append(names, "class")
	}
	if n.state != old.state {
		names = append(names, "state")
	}
	if !slices.Equal(n.zones, old.zones) {
		names = append(names, "zones")
	}
	worth = len(names) > 0
	if n.box != old.box {
		names = append(names, "bbox")
	}
	return names, worth
}

// data is the object as an event carries it.
func (o *object) data(zones []string, withPath bool) *detect.Object {
	d := &detect.Object{TrackID: o.id, Class: o.class, Score: o.score, BBox: o.box, State: o.state,
		FirstSeen: o.first, LastSeen: o.last, Zones: zones}
	if withPath {
		d.Path = slices.Clone(o.path.points)
	}
	return d
}

// left reports whether the object was last seen at the picture's border.
func (o *object) left() bool {
	b := o.box
	return b.X <= borderMargin || b.Y <= borderMargin || b.X+b.W >= 1-borderMargin || b.Y+b.H >= 1-borderMargin
}
