package rules

import (
	"math"
	"time"

	"sightline/detect"
)

// maxPath is how many points of a path events carry.
const maxPath = 64

// path is where the bottom of an object was: [ms after it was first seen, x, y]. It keeps the
// first and the latest point and drops, when it is full, the one that its
// neighbors tell best: the one nearest to where even motion between them would
// have been at its time (synchronized Euclidean distance, Meratnia and de By,
// EDBT 2004).
type path struct{ points [][3]float64 }

func (p *path) add(after time.Duration, place detect.Point) {
	ms := float64(after) / float64(time.Millisecond)
	p.points = append(p.points, [3]float64{ms, place.X, place.Y})
	if len(p.points) <= maxPath {
		return
	}
	drop, least := 1, math.Inf(1)
	for i := 1; i < len(p.points)-1; i++ {
		if d := deviation(p.points[i-1], p.points[i], p.points[i+1]); d < least {
			drop, least = i, d
		}
	}
	p.points = append(p.points[:drop], p.points[drop+1:]...)
}

// deviation is how far b is from the place that even motion from a to c passes
// at b's time.
func deviation(a, b, c [3]float64) float64 {
	t := 0.5
	if c[0] > a[0] {
		t = (b[0] - a[0]) / (c[0] - a[0])
	}
	return math.Hypot(b[1]-a[1]-t*(c[1]-a[1]), b[2]-a[2]-t*(c[2]-a[2]))
}
