package ingest

import (
	"cmp"
	"slices"
	"time"
)

const (
	// windowLength is how long the earliest arrival of a window is looked for. The
	// latest two windows say where the line is, and all maxWindows its slope.
	windowLength = 5 * time.Second
	maxWindows   = 120
	// maxPause is how much later than in the window before all events of one may
	// come, and maxOffLine how far from a known line, before the sender's clock is
	// taken to have stood still or made a step, so that what was before is of
	// another line. Two windows of a clock that is just slow differ by less.
	maxPause   = 2 * windowLength
	maxOffLine = time.Second
	// firstSpread is assumed until the first window is closed.
	firstSpread = 100 * time.Millisecond
	// minWindows are needed for any slope, and driftSpan of them to export it.
	minWindows = 3
	driftSpan  = time.Minute
	// smallestSlope is nothing that anybody's clock can tell.
	smallestSlope = 1e-7
	// steepest is the fastest sender that is followed: 20 times too fast.
	steepest = -0.95
)

// point is an event that a sender dates at x of its clock and that reaches us at
// x+y of ours.
type point struct{ x, y time.Duration }

// envelope is the line below all delays: no queue on the way makes a packet
// arrive early, so the earliest arrivals are the nearest to the truth. Its slope
// is how the two clocks part. It is found as the edge of the delays' lower convex
// hull below their mean time: the line of least total distance with all points
// above it (Moon, Skelly, Towsley, "Estimation and Removal of Clock Skew from
// Network Delay Measurements", INFOCOM 1999; by hull: Zhang, Liu, Xia, "Clock
// Synchronization Algorithms for Network Measurements", INFOCOM 2002).
type envelope struct {
	minima  []point // of the windows closed
	current point   // minimum of the open window
	since   time.Duration
	started bool
	slope   float64          // of y over x; 0 while it is not told from noise
	told    bool             // over a span long enough to export
	worst   [2]time.Duration // farthest above the line in the open window and the one before
}

// observe takes the next event.
func (e *envelope) observe(p point) {
	now := p.x + p.y
	switch {
	case !e.started:
		e.started, e.since, e.current = true, now, p
	case now-e.since > windowLength:
		e.close()
		e.since, e.current = now, p
		e.worst = [2]time.Duration{0, e.worst[0]}
	case p.y-e.along(p.x-e.current.x) < e.current.y:
		e.current = p
	}
	e.worst[0] = max(e.worst[0], p.y-e.value(p.x))
}

// along is what the line climbs over dx.
func (e *envelope) along(dx time.Duration) time.Duration {
	if e.slope == 0 {
		return 0
	}
	return time.Duration(e.slope * float64(dx))
}

// value is the line's y at x.
func (e *envelope) value(x time.Duration) time.Duration {
	y := e.current.y + e.along(x-e.current.x)
	if n := len(e.minima); n > 0 {
		p := e.minima[n-1]
		y = min(y, p.y+e.along(x-p.x))
	}
	return y
}

// spread is how late events were lately, beyond the earliest.
func (e *envelope) spread() time.Duration {
	if len(e.minima) == 0 {
		return max(e.worst[0], firstSpread)
	}
	return max(e.worst[0], e.worst[1])
}

// drift is by how many ppm the clock of x is faster than that of x+y, 0 where
// that is not known.
func (e *envelope) drift() float64 {
	if !e.told {
		return 0
	}
	return -e.slope / (1 + e.slope) * 1e6
}

// close ends the window and finds the slope anew.
func (e *envelope) close() {
	if n := len(e.minima); n > 0 {
		last := e.minima[n-1]
		off := e.current.y - last.y - e.along(e.current.x-last.x)
		if off > maxPause || e.slope != 0 && off.Abs() > maxOffLine {
			*e = envelope{started: true, current: e.current}
		}
	}
	if len(e.minima) == maxWindows {
		e.minima = append(e.minima[:0], e.minima[1:]...)
	}
	e.minima = append(e.minima, e.current)
	e.slope, e.told = 0, false
	if len(e.minima) < minWindows {
		return
	}
	slope, noise, span := fit(e.minima)
	if slope >= steepest && max(slope, -slope) > max(3*noise, smallestSlope) {
		e.slope, e.told = slope, span >= driftSpan
	}
}

// fit finds the hull's edge below the points' mean x. noise is what the points'
// mean distance from it makes of a slope over the span of x.
func fit(points []point) (slope, noise float64, span time.Duration) {
	sorted := slices.SortedFunc(slices.Values(points), func(a, b point) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) })
	var hull []point
	mean := 0.0
	for _, p := range sorted {
		mean += float64(p.x-sorted[0].x) / float64(len(sorted))
		for n := len(hull); n > 1 && !below(hull[n-2], hull[n-1], p); n = len(hull) {
			hull = hull[:n-1]
		}
		hull = append(hull, p)
	}
	i := 1
	for i < len(hull)-1 && float64(hull[i].x-sorted[0].x) < mean {
		i++
	}
	span = sorted[len(sorted)-1].x - sorted[0].x
	if i >= len(hull) || hull[i].x == hull[i-1].x {
		return 0, 0, span
	}
	a, b := hull[i-1], hull[i]
	slope = float64(b.y-a.y) / float64(b.x-a.x)
	above := 0.0
	for _, p := range sorted {
		above += float64(p.y-a.y) - slope*float64(p.x-a.x)
	}
	return slope, above / float64(len(sorted)) / float64(span), span
}

// below tells whether b is below the straight line from a to c.
func below(a, b, c point) bool {
	return float64(b.y-a.y)*float64(c.x-a.x) < float64(c.y-a.y)*float64(b.x-a.x)
}
