// Package agreement judges, while an optimized network works, whether it still finds what
// its original finds. It is pure: time is the stream's.
package agreement

import (
	"fmt"
	"math"
	"time"

	"sightline/detect/optimize"
)

// How an optimized network is judged while it works. A look is one picture that both
// networks saw; what it says of recall is one observation, as the boxes of a picture
// are lost together or not at all, and so of precision. Looks without boxes say
// nothing. The share of boxes in a window of looks leaves its budget when even the
// upper end of its Wilson interval, over as many observations, is below: at 99.5 %, and
// with leastLost boxes or more lost or made up, so that it is no luck.
//
// Two windows are watched. The long one holds the last longWindow looks, one in N
// inferences, and finds a slow decline. A look that by itself does not keep the budget
// opens a short one: from then on one in N/10 is looked at, afresh, until shortLooks
// with boxes say that it is well, or that it is not, or shortWindow have not decided:
// then it is well for now. At five inferences a second and N = 50 a network that is
// blind in its scene is found out within twenty seconds in which boxes are to be seen.
const (
	longWindow  = 1000
	shortWindow = 40
	shortLooks  = 8 // with boxes, before a short window decides anything
	leastLost   = 3
	hurry       = 10
	wilsonZ     = 2.576
)

// After the original took over, the optimized network goes on as the shadow. It works
// again when the last returnLooks looks with boxes kept the budget as they are, and so
// much of the stream's time has passed; each time the stream falls back it is twice as
// long, up to a day.
const (
	returnLooks = 40
	returnAfter = 10 * time.Minute
	mostAfter   = 24 * time.Hour
)

// ring is the last looks, and their sums.
type ring struct {
	looks []optimize.Match
	next  int
	sum   optimize.Match
	boxes int // looks in which the original has boxes
	found int // looks in which the optimized one has
}

func (r *ring) add(m optimize.Match, most int) {
	if len(r.looks) < most {
		r.looks = append(r.looks, m)
		r.count(m, 1)
		return
	}
	r.count(r.looks[r.next], -1)
	r.looks[r.next] = m // not lost: counted
	r.count(m, 1)
	r.next = (r.next + 1) % most
}

func (r *ring) count(m optimize.Match, sign int) {
	r.sum.Boxes += sign * m.Boxes
	r.sum.Found += sign * m.Found
	r.sum.Extra += sign * m.Extra
	if m.Boxes > 0 {
		r.boxes += sign
	}
	if m.Found+m.Extra > 0 {
		r.found += sign
	}
}

func (r *ring) reset() { *r = ring{looks: r.looks[:0]} } // not lost: looks, which a verdict was made of

func (r *ring) recall() float64    { return share(r.sum.Found, r.sum.Boxes) }
func (r *ring) precision() float64 { return share(r.sum.Found, r.sum.Found+r.sum.Extra) }

// keeps tells whether both shares are within the budget as they are.
func (r *ring) keeps(budget float64) bool { return min(r.recall(), r.precision()) >= budget }

// leaves tells whether a share is below the budget for sure.
func (r *ring) leaves(budget float64, least int) bool {
	lost, extra := r.sum.Boxes-r.sum.Found, r.sum.Extra
	return r.boxes >= least && lost >= leastLost && wilson(r.recall(), r.boxes) < budget ||
		r.found >= least && extra >= leastLost && wilson(r.precision(), r.found) < budget
}

func share(part, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(part) / float64(of)
}

// wilson is the upper end of the interval that a share of n observations is in.
func wilson(share float64, n int) float64 {
	z2, count := wilsonZ*wilsonZ, float64(n)
	half := wilsonZ * math.Sqrt(share*(1-share)/count+z2/(4*count*count))
	return (share + z2/(2*count) + half) / (1 + z2/count)
}

// Verdict is what the looks at one stream have shown. With Budget and Every set it is
// ready, and the optimized network works. It is not for concurrent use.
type Verdict struct {
	Budget float64 // least recall and precision
	Every  int     // inferences from look to look, in calm

	short, long, since ring
	alert              bool // the short window is open
	fallen             bool // the original works
	fellAt             time.Time
	falls              int
	reason             string // of the last change
}

// Fallen tells whether the original works, Falls how often it had to take over, and Reason
// why the one that works does, "" if nothing has changed yet.
func (v *Verdict) Fallen() bool   { return v.fallen }
func (v *Verdict) Falls() int     { return v.falls }
func (v *Verdict) Reason() string { return v.reason }

// Window is what the last looks came to.
type Window struct {
	Recall    float64 // of the original's boxes, those that the optimized network found
	Precision float64 // of the optimized network's boxes, those that the original has
	Boxes     int     // of the original
	Looks     int
}

// Window is that of the last thousand looks.
func (v *Verdict) Window() Window {
	return Window{Recall: v.long.recall(), Precision: v.long.precision(), Boxes: v.long.sum.Boxes, Looks: len(v.long.looks)}
}

// Due tells whether the nth inference, counted from 1, is to be looked at.
func (v *Verdict) Due(n uint64) bool {
	step := v.Every
	if v.alert {
		step = max(1, v.Every/hurry)
	}
	return n%uint64(step) == 0
}

// Look takes one look and says whether the other network is to work from now on.
func (v *Verdict) Look(m optimize.Match, at time.Time) (turn bool) {
	v.long.add(m, longWindow)
	if v.fallen {
		return v.back(m, at)
	}
	switch {
	case v.alert:
		v.short.add(m, shortWindow)
		if v.short.leaves(v.Budget, shortLooks) {
			return v.fall(&v.short, at)
		}
		decided := max(v.short.boxes, v.short.found) >= shortLooks && v.short.keeps(v.Budget)
		v.alert = !decided && len(v.short.looks) < shortWindow
	case min(share(m.Found, m.Boxes), share(m.Found, m.Found+m.Extra)) < v.Budget:
		v.alert = true
		v.short.reset()
	}
	if v.long.leaves(v.Budget, longWindow/10) {
		return v.fall(&v.long, at)
	}
	return false
}

func (v *Verdict) fall(why *ring, at time.Time) bool {
	v.fallen, v.alert, v.fellAt = true, false, at
	v.reason = fmt.Sprintf("the optimized network finds %.1f %% of what its original finds, and of what it finds itself %.1f %% is confirmed; the least is %.1f %%",
		100*why.recall(), 100*why.precision(), 100*v.Budget)
	v.falls++
	v.since.reset()
	return true
}

// patience is how long the original works at least.
func (v *Verdict) patience() time.Duration {
	after := returnAfter
	for range v.falls - 1 {
		after = min(2*after, mostAfter)
	}
	return after
}

// back takes a look of the optimized network while the original works.
func (v *Verdict) back(m optimize.Match, at time.Time) bool {
	if m.Boxes+m.Extra > 0 {
		v.since.add(m, returnLooks)
	}
	if len(v.since.looks) < returnLooks || !v.since.keeps(v.Budget) || at.Sub(v.fellAt) < v.patience() {
		return false
	}
	v.fallen, v.reason = false, fmt.Sprintf("over %d looks the optimized network agreed with its original again", returnLooks)
	v.short.reset()
	v.long.reset()
	return true
}
