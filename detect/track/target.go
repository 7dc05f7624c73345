package track

import (
	"math"
	"time"

	"sightline/detect"
)

// target is one track.
type target struct {
	born  uint64 // order of birth
	id    uint64 // 0 while tentative
	group string
	votes map[string]float64 // scores by class
	class string

	filter      filter
	box         detect.Rect // the last it took
	score       float64
	boxes       int
	first, last time.Time

	missing   time.Duration // looked for in vain since the last box
	detection int           // taken in this update, -1 for none
	looked    bool          // its place was looked at in this update
}

// take gives the target a box of this update.
func (o *target) take(at time.Time, index int, d detect.Detection) {
	o.box, o.score, o.last, o.missing, o.detection = d.Box, d.Score, at, 0, index
	o.boxes++
	o.votes[d.Class] += d.Score
	if o.votes[d.Class] > o.votes[o.class] || o.class == "" {
		o.class = d.Class
	}
}

func (o *target) track() detect.Track {
	t := detect.Track{ID: o.id, Class: o.class, Score: o.score, Box: o.box, Detection: o.detection,
		Confirmed: o.id != 0, FirstSeen: o.first, LastSeen: o.last}
	if o.detection < 0 {
		t.Box = o.filter.box()
	}
	return t
}

// usable reports whether a box can be followed at all.
func usable(r detect.Rect) bool {
	return r.W > 0 && r.H > 0 && !math.IsInf(r.X+r.Y+r.W+r.H, 0) && !math.IsNaN(r.X+r.Y)
}

// covers reports whether the middle of r is inside region; no region is the
// whole picture and all around it.
func covers(region, r detect.Rect) bool {
	c := r.Center()
	return region == (detect.Rect{}) || region.X <= 0 && region.Y <= 0 && region.X+region.W >= 1 && region.Y+region.H >= 1 ||
		c.X >= region.X && c.X <= region.X+region.W && c.Y >= region.Y && c.Y <= region.Y+region.H
}
