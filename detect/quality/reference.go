package quality

import (
	"math"
	"time"
)

const (
	// memory is how long the reference takes to follow what changes for good:
	// longer than anybody stands in the way, shorter than dusk.
	memory = 3 * time.Minute
	// warmUp is how many looks make a reference.
	warmUp = 10
)

// reference is what a camera usually shows.
type reference struct {
	width, height int
	looks         int
	bright        float64
	detail        []float32
	low           []float32
	edges         []float32
}

// fits tells whether pictures of that size can be compared with it.
func (r *reference) fits(m *measures) bool { return r.width == m.width && r.height == m.height }

func (r *reference) ready() bool { return r.looks >= warmUp }

// learn takes m in, seen so long after the look before.
func (r *reference) learn(m *measures, after time.Duration) {
	if !r.fits(m) || r.looks == 0 {
		*r = reference{
			width: m.width, height: m.height, detail: make([]float32, len(m.detail)), low: make([]float32, len(m.low)), edges: make([]float32, len(m.edges)),
		}
	}
	r.looks++
	weight := max(1/float64(r.looks), min(1, after.Seconds()/memory.Seconds()))
	r.bright += weight * (m.bright - r.bright)
	for _, p := range []struct{ old, seen []float32 }{{r.detail, m.detail}, {r.low, m.low}, {r.edges, m.edges}} {
		for i := range p.old {
			p.old[i] += float32(weight) * (p.seen[i] - p.old[i])
		}
	}
}

const (
	detailed  = 3.0 // of a cell that has something to lose
	lostBelow = 0.4 // of its usual detail
)

// lost is the share of cells with detail that lack it in m; known is false where
// the reference itself has too little to tell.
func (r *reference) lost(m *measures) (share float64, known bool) {
	had, lost := 0, 0
	for i, usual := range r.detail {
		if usual < detailed {
			continue
		}
		had++
		if m.detail[i] < lostBelow*usual {
			lost++
		}
	}
	if had*20 < len(r.detail) {
		return 0, false
	}
	return float64(lost) / float64(had), true
}

// layout tells how alike the two pictures' large shapes are, 1 being the same.
func (r *reference) layout(m *measures) float64 { return correlation(r.low, m.low) }

// match tells how alike the two maps of edges are.
func (r *reference) match(m *measures) float64 { return correlation(r.edges, m.edges) }

// correlation is Pearson's; 0 where either is flat.
func correlation(a, b []float32) float64 {
	n := float64(len(a))
	var sa, sb, saa, sbb, sab float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		sa, sb, saa, sbb, sab = sa+x, sb+y, saa+x*x, sbb+y*y, sab+x*y
	}
	va, vb := saa-sa*sa/n, sbb-sb*sb/n
	if va <= n/4 || vb <= n/4 { // deviations below half a level
		return 0
	}
	return (sab - sa*sb/n) / math.Sqrt(va*vb)
}
