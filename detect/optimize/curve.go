package optimize

import (
	"fmt"
	"math"
)

// curve is a drawing of agreement against time: a dot for each network that was
// tried and timed. Its box is 640 × 300, of which the dots have the inner part.
type curve struct {
	Dots   []dot
	Across []tick // shares of the original's time
	Up     []tick // agreement
	Budget float64
}

type dot struct {
	X, Y   float64
	Name   string
	Passed bool // kept the budget
	Chosen bool // and is what was written: it was judged last, on each engine
	Source bool // the original
}

type tick struct {
	At    float64
	Label string
}

// Edges of the inner part of the drawing.
const (
	curveLeft, curveRight = 60, 620
	curveTop, curveBottom = 20, 250
)

// curve is nil where nothing was timed.
func (r *Report) curve() *curve {
	low := min(r.Agreement, 1)
	slowest := 1.0
	timed := false
	for _, p := range r.Points {
		if p.Speedup > 0 {
			timed = true
			low, slowest = min(low, p.Recall, p.Precision), max(slowest, 1/p.Speedup)
		}
	}
	if !timed {
		return nil
	}
	bottom := math.Floor(20*low-.2) / 20 // of the scale, in twentieths
	across := func(time float64) float64 { return curveLeft + time/slowest*(curveRight-curveLeft) }
	up := func(agree float64) float64 {
		return curveBottom - (agree-bottom)/(1-bottom)*(curveBottom-curveTop)
	}
	c := &curve{Budget: up(r.Agreement)}
	c.Dots = append(c.Dots, dot{X: across(1), Y: up(1), Name: "the original: 100 % of its time", Passed: true, Source: true})
	for i, p := range r.Points {
		if p.Speedup > 0 {
			agree := min(p.Recall, p.Precision)
			name := fmt.Sprintf("%s: agreement %s in %.0f %% of the time", p.Name, percent(agree), 100/p.Speedup)
			c.Dots = append(c.Dots, dot{X: across(1 / p.Speedup), Y: up(agree), Name: name, Passed: p.Reason == "", Chosen: r.Passed && i >= len(r.Points)-len(r.Engines)})
		}
	}
	for i := range 5 {
		share := float64(i) / 4
		c.Across = append(c.Across, tick{across(share), fmt.Sprintf("%.0f %%", 100*share)})
		agree := bottom + (1-bottom)*share
		c.Up = append(c.Up, tick{up(agree), fmt.Sprintf("%.1f %%", 100*agree)})
	}
	return c
}
