package optimize

import (
	"errors"
	"fmt"
	"slices"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// candidate is one network of those that a plan leads to.
type candidate struct {
	at    int // step of the plan
	model *graph.Model
	steps []Step
	agree Agreement
}

// searched are the networks that were made, by how much of them is left.
type searched struct {
	*specialist
	plan     []prune.Step
	measured []prune.Measured
	jury     *jury
	whole    []Layer // before anything was taken away
}

// search finds the smallest network of the plan that keeps the agreement on the
// pictures that were held back, by halving, and then the smallest that passes the
// gate.
func (s *specialist) search(plan []prune.Step, measured []prune.Measured, whole []Layer) error {
	check, err := s.newJury(s.check, s.c.Engines[0], "", s.c.Least-Tolerance)
	if err != nil {
		return err
	}
	q := &searched{specialist: s, plan: plan, measured: measured, jury: check, whole: whole}
	best, err := q.halve()
	if err != nil {
		return err
	}
	const gentler = 0.06 // of the arithmetic, each time the gate refuses
	for {
		q.tell(best)
		err := finish(s.ctx, s.c, s.r, best.model, s.check, s.log)
		if err == nil || !errors.Is(err, ErrBudget) || best.at == 0 {
			return err
		}
		s.r.Tried = append(s.r.Tried, fmt.Sprintf("%.0f %% of the arithmetic: %s", 100*q.left(best.at), s.r.Reason))
		if best, err = q.make(q.step(q.left(best.at) + gentler)); err != nil {
			return err
		}
	}
}

// left is how much of the arithmetic is left after a step of the plan.
func (q *searched) left(at int) float64 {
	return float64(q.plan[at].MACs) / float64(q.plan[0].MACs)
}

// step is the last of the plan that leaves at least so much of the arithmetic.
func (q *searched) step(left float64) (at int) {
	for i := range q.plan {
		if q.left(i) >= left {
			at = i
		}
	}
	return at
}

// halve looks for the smallest network that agrees, as if agreement only grew with
// what is left.
func (q *searched) halve() (best *candidate, err error) {
	const rounds = 5
	low, high := 0.2, 1.0
	for i := range rounds {
		q.progress("looking for the smallest network that agrees", i, rounds)
		c, err := q.make(q.step((low + high) / 2))
		if err != nil {
			return nil, err
		}
		if min(c.agree.Recall, c.agree.Precision) >= q.c.Agreement {
			best, high = c, (low+high)/2
		} else {
			q.r.Tried = append(q.r.Tried, fmt.Sprintf("%.0f %% of the arithmetic: recall %.4f, precision %.4f", 100*q.left(c.at), c.agree.Recall, c.agree.Precision))
			low = (low + high) / 2
		}
	}
	q.progress("looking for the smallest network that agrees", rounds, rounds)
	if best == nil {
		return q.make(0)
	}
	return best, nil
}

// make makes the network of a step of the plan and holds it against the original.
func (q *searched) make(at int) (*candidate, error) {
	c := &candidate{at: at}
	without := q.net.Without(q.measured, q.plan[at].Counts)
	left, err := q.refitted(at, without)
	if err != nil {
		return nil, err
	}
	m := *q.m
	m.Graph, m.Metadata = left, slices.Clone(q.m.Metadata)
	c.model = &m
	if len(without) > 0 {
		c.steps = append(c.steps, Step{Name: "channels", Count: len(without), Detail: fmt.Sprintf(
			"%.0f %% of the arithmetic is left; %s", 100*q.left(at), q.net.Describe())})
	}
	if q.c.Integers {
		made, step, err := integers(q.ctx, q.c, c.model, q.in, q.shape, levels()[0], q.learn)
		if err != nil {
			return nil, err
		}
		c.model, c.steps = made, append(c.steps, step)
	}
	found, err := q.jury.ask(c.model, q.shape)
	c.agree = agreement(q.jury.original, found, q.c.Least)
	q.log.Info("a smaller network was tried", "left", q.left(at), "recall", c.agree.Recall, "precision", c.agree.Precision)
	return c, err
}

// refitted takes channels away and fits what is left, convolution by convolution in
// forward order, to what the original computes.
func (q *searched) refitted(at int, without prune.Set) (*graph.Graph, error) {
	sized := q.m.Opset() >= 13
	name := fmt.Sprintf("network-%d.onnx", at)
	if data := q.work.Load(name); data != nil {
		if m, err := graph.Read(data); err == nil {
			return m.Graph, nil
		}
	}
	weights := map[string]prune.Weights{}
	waves := q.net.Waves(without)
	for i, wave := range waves {
		left, err := q.net.Apply(without, weights, sized)
		if err != nil {
			return nil, err
		}
		g, taps := q.net.RefitProbe(left, without, wave, q.sampling(positions))
		sums := make([]prune.Moments, len(taps))
		err = q.look(g, taps, q.learn, func(_ int, seen [][]float32) {
			for k, v := range seen {
				sums[k].Add(v)
			}
		})
		if err != nil {
			return nil, err
		}
		for k, c := range wave {
			if weights[c.Name], err = c.Refit(sums[2*k], sums[2*k+1], without); err != nil {
				return nil, err
			}
		}
		q.progress("fitting what is left to what the original computes", i+1, len(waves))
	}
	left, err := q.net.Apply(without, weights, sized)
	if err != nil {
		return nil, err
	}
	m := *q.m
	m.Graph = left
	q.keep(name, m.Write())
	return left, nil
}

// tell puts a candidate into the report.
func (q *searched) tell(c *candidate) {
	r := q.r
	r.Steps = append(slices.DeleteFunc(r.Steps, func(s Step) bool { return s.Name == "channels" || s.Name == "integers" }), c.steps...)
	r.Engines = nil
	r.After = SizeOf(c.model, q.shape.Width, q.shape.Height)
	now := map[string]Layer{}
	for _, l := range Layers(c.model, q.shape.Width, q.shape.Height) {
		now[l.Name] = l
	}
	for i := range min(len(q.whole), len(r.Layers)) {
		l := now[q.whole[i].Name]
		r.Layers[i].Channels[1], r.Layers[i].MACs[1] = l.Channels, l.MACs
	}
}
