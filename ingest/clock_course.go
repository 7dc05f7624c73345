package ingest

import (
	"sort"
	"time"
)

// courseLength is more pictures than any codec decodes before one that is shown
// earlier.
const courseLength = 32

// course is how capture time went in presentation order. It follows an estimate
// that may change its mind, at a bounded rate, and never backwards.
type course struct {
	places []place // the latest, in presentation order
}

type place struct {
	pts      time.Duration
	captured time.Time
}

// place gives the picture shown at pts its capture time, by estimate at that
// moment, and tells how far that is from the estimate. A picture that comes
// after one shown later is placed between its neighbors.
func (c *course) place(pts time.Duration, estimate func(time.Duration) time.Time) (captured time.Time, residue time.Duration) {
	if len(c.places) == 0 {
		c.places = append(c.places, place{pts, estimate(pts)})
		return estimate(pts), 0
	}
	last := c.places[len(c.places)-1]
	if pts <= last.pts {
		captured = c.between(pts)
		return captured, captured.Sub(estimate(pts))
	}
	before, want := estimate(last.pts), estimate(pts)
	progress := want.Sub(before)
	residue = last.captured.Sub(before)
	switch {
	case residue > maxSenderOffset:
		residue -= progress - progress/slewBack
	case residue > 0:
		residue -= min(residue, progress/slewBack)
	case residue < -maxSenderOffset:
		residue = 0
	default:
		residue += min(-residue, progress/slewForward)
	}
	captured = want.Add(residue)
	if captured.Before(last.captured) { // an estimate that does not progress
		captured = last.captured
	}
	if len(c.places) == courseLength {
		c.places = append(c.places[:0], c.places[1:]...)
	}
	c.places = append(c.places, place{pts, captured})
	return captured, captured.Sub(want)
}

// between draws a straight line through the neighbors of pts.
func (c *course) between(pts time.Duration) time.Time {
	i := sort.Search(len(c.places), func(i int) bool { return c.places[i].pts >= pts })
	next := c.places[i]
	if i == 0 || next.pts == pts {
		return next.captured.Add(pts - next.pts)
	}
	last := c.places[i-1]
	share := float64(pts-last.pts) / float64(next.pts-last.pts)
	return last.captured.Add(time.Duration(share * float64(next.captured.Sub(last.captured))))
}
