package optimize

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// candidate is one network of those that a plan leads to.
type candidate struct {
	q     *series
	at    int          // step of the plan
	plain *graph.Model // before it was put into integers
	model *graph.Model
	steps []Step
	agree Agreement
}

// series are the networks that a plan leads to at one size of the input.
type series struct {
	*specialist
	plan     []prune.Step
	measured []prune.Measured
	jury     *jury // of pictures that nothing is learned from, nor proved by
}

// search finds the smallest network that keeps the agreement on the pictures to choose
// by, and then the smallest that passes the gate.
func (s *specialist) search(measured []prune.Measured) error {
	jury, err := s.newJury(s.check, s.c.Engines[0], "", s.c.Least-Tolerance)
	if err != nil {
		return err
	}
	q := &series{specialist: s, plan: s.net.Plan(measured, s.block(), lanes), measured: measured, jury: jury}
	best, err := q.smallest(0.2, nil, 6)
	if err != nil {
		return err
	}
	if best == nil { // the gate says why not
		if best, err = q.make(0); err != nil {
			return err
		}
	}
	if s.c.Smaller && !s.in.Fixed {
		if best, err = q.smaller(best); err != nil {
			return err
		}
	}
	gentler := 0.04 // of the arithmetic, more each time the gate refuses
	for {
		if best, err = best.final(); err != nil {
			return err
		}
		if err = best.tell(); err != nil {
			return err
		}
		if !s.c.Integers {
			lower(s.c, s.r, best.model, best.q.shape)
		}
		if n := len(s.r.Steps); n > 0 {
			s.r.Steps[n-1].After = nil // the gate tells
		}
		err := finish(s.ctx, s.c, s.r, best.model, s.prove, s.log)
		if err == nil {
			s.work.Forget("network-")
		}
		if err == nil || !errors.Is(err, ErrBudget) || best.at == 0 {
			return err
		}
		s.r.Tried = append(s.r.Tried, best.name()+": "+s.r.Reason)
		best = &candidate{q: best.q, at: min(best.at-1, best.q.step(best.q.left(best.at)+gentler))}
		gentler *= 2
	}
}

// final is a candidate that is fitted to all pictures but those that it is proved by.
func (c *candidate) final() (*candidate, error) {
	made := &candidate{q: c.q.fittedToAll(), at: c.at}
	return made, made.build()
}

// fittedToAll are the same networks, fitted to all pictures but those that they are
// proved by.
func (q *series) fittedToAll() *series {
	s, all := *q.specialist, *q
	s.learn, s.last = s.known, true
	all.specialist = &s
	return &all
}

// left is how much of the arithmetic is left after a step of the plan.
func (q *series) left(at int) float64 {
	return float64(q.plan[at].MACs) / float64(q.plan[0].MACs)
}

// step is the last of the plan that leaves at least so much of the arithmetic.
func (q *series) step(left float64) (at int) {
	for i := range q.plan {
		if q.left(i) >= left {
			at = i
		}
	}
	return at
}

func (c *candidate) name() string {
	return fmt.Sprintf("%.0f %% of the arithmetic at %s", 100*c.q.left(c.at), c.q.shape)
}

func (c *candidate) passes() bool {
	return c.agree.Boxes > 0 && min(c.agree.Recall, c.agree.Precision) >= c.q.c.Agreement
}

// margin is by how much a candidate keeps the agreement; less than nothing: it does
// not.
func (c *candidate) margin() float64 {
	if c.agree.Boxes == 0 {
		return -1
	}
	return min(c.agree.Recall, c.agree.Precision) - c.q.c.Agreement
}

// smallest looks for the smallest network that agrees, between so much of the
// arithmetic and a candidate that does, or all; it is that where no other does. It
// tries where a line between the nearest two that were tried meets the budget, at
// most so many times, as if agreement only grew with what is left.
func (q *series) smallest(low float64, best *candidate, rounds int) (_ *candidate, err error) {
	what := "looking for the smallest network that agrees at " + q.shape.String()
	high, tried := 1.0, map[int]bool{0: true}
	over, under := 1-q.c.Agreement, math.NaN() // the margins there
	if best != nil {
		high, over = q.left(best.at), best.margin()
	}
	for i := range rounds {
		q.progress(what, i, rounds)
		part := 0.5
		if !math.IsNaN(under) && over > under {
			part = min(max(-under/(over-under), .2), .8)
		}
		at := q.between(low+part*(high-low), low, high, tried)
		if at < 0 {
			break
		}
		tried[at] = true
		c, err := q.make(at)
		if err != nil {
			return nil, err
		}
		if c.passes() {
			best, high, over = c, q.left(at), c.margin()
		} else {
			low, under = q.left(at), c.margin()
		}
	}
	q.progress(what, rounds, rounds)
	return best, nil
}

// between is the step of the plan nearest to so much of the arithmetic that leaves
// less than high, more than low, and was not tried; -1 where there is none.
func (q *series) between(left, low, high float64, tried map[int]bool) int {
	best := -1
	for i := range q.plan {
		l := q.left(i)
		if !tried[i] && l > low && l < high && (best < 0 || math.Abs(l-left) < math.Abs(q.left(best)-left)) {
			best = i
		}
	}
	return best
}

// smaller tries smaller inputs, the smallest last, as long as they lead to less
// arithmetic than the best so far.
func (q *series) smaller(best *candidate) (*candidate, error) {
	for _, part := range []float64{352. / 416, 320. / 416} {
		s := *q.specialist
		if s.shape = q.scaled(part); s.shape == q.shape {
			continue
		}
		m := *q.m
		m.Metadata = slices.Clone(q.m.Metadata)
		m.SetMeta("size", fmt.Sprintf("[%d, %d]", s.shape.Height, s.shape.Width))
		s.m = &m
		s.trace()
		small := &series{specialist: &s, plan: s.net.Plan(q.measured, s.block(), lanes), measured: q.measured, jury: q.jury}
		c, err := small.make(0) // what is lost by the size alone
		if err != nil {
			return nil, err
		}
		if !c.passes() {
			continue
		}
		need := float64(best.q.plan[best.at].MACs) / float64(small.plan[0].MACs) // more of it would be no gain
		at := 0
		for at < len(small.plan)-1 && small.left(at) > need*0.98 {
			at++
		}
		if c, err = small.make(at); err != nil {
			return nil, err
		}
		if !c.passes() {
			continue
		}
		if best, err = small.smallest(0.2, c, 4); err != nil {
			return nil, err
		}
	}
	return best, nil
}

// scaled is the size of the input with a part of its long side, in whole steps, and
// room for all of a picture.
func (q *series) scaled(part float64) onnx.Shape {
	in := q.in
	side := int(float64(max(q.shape.Width, q.shape.Height))*part+.5) / in.Step * in.Step
	in.Base = onnx.Shape{Width: max(side, in.Step), Height: max(side, in.Step)}
	if q.c.Fit {
		return in.Fitted(q.check[0].Width, q.check[0].Height)
	}
	return in.Base
}

// build makes the network of a step of the plan.
func (c *candidate) build() error {
	q := c.q
	without := q.net.Without(q.measured, q.plan[c.at].Counts)
	left, err := q.refitted(c.at, without)
	if err != nil {
		return err
	}
	m := *q.m
	m.Graph, m.Metadata = left, slices.Clone(q.m.Metadata)
	c.plain, c.model = &m, &m
	if len(without) > 0 {
		c.steps = append(c.steps, Step{Name: "channels", Count: len(without), Detail: fmt.Sprintf(
			"%.0f %% of the arithmetic is left; %s", 100*q.left(c.at), q.net.Describe())})
	}
	if q.c.Integers {
		made, step, err := integers(q.ctx, q.c, c.plain, q.in, q.shape, q.learn)
		if err != nil {
			return err
		}
		c.model, c.steps = made, append(c.steps, step)
	}
	return nil
}

// make makes the network of a step of the plan and holds it against the original.
func (q *series) make(at int) (*candidate, error) {
	c := &candidate{q: q, at: at}
	err := c.build()
	if err != nil {
		return nil, err
	}
	var speedup float64
	if c.agree, speedup, err = q.jury.try(c.model, q.shape); err != nil {
		return nil, err
	}
	p := Point{Name: c.name(), Recall: c.agree.Recall, Precision: c.agree.Precision, Speedup: speedup}
	if !c.passes() {
		p.Reason = fmt.Sprintf("recall %.4f, precision %.4f", p.Recall, p.Precision)
		q.r.Tried = append(q.r.Tried, p.Name+": "+p.Reason)
	}
	q.r.Points = append(q.r.Points, p)
	return c, nil
}

// tell puts a candidate into the report, and measures it without integers.
func (c *candidate) tell() error {
	s, r, shape := c.q.specialist, c.q.r, c.q.shape
	ours := []string{"channels", "integers", "smaller", "winograd"}
	r.Steps = slices.DeleteFunc(r.Steps, func(s Step) bool { return slices.Contains(ours, s.Name) })
	if c.q.jury.s.shape != shape {
		if err := s.noted(Step{Name: "smaller", Count: 1, Detail: "the input is " + shape.String()}, s.m, shape); err != nil {
			return err
		}
	}
	for _, step := range c.steps {
		if step.Name != "channels" { // the last
			r.Steps = append(r.Steps, step)
		} else if err := s.noted(step, c.plain, shape); err != nil {
			return err
		}
	}
	r.Engines = nil
	r.weigh(c.plain, shape.Width, shape.Height)
	if c.model != c.plain {
		r.weigh(c.model, shape.Width, shape.Height)
	}
	return nil
}
