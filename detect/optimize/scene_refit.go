package optimize

import (
	"fmt"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// refitted takes channels away and fits what is left, convolution by convolution in
// forward order, to what the original computes.
func (q *series) refitted(at int, without prune.Set) (*graph.Graph, error) {
	name := q.kept(at)
	if data := q.work.Load(name); data != nil {
		if m, err := graph.Read(data); err == nil {
			return m.Graph, nil
		}
	}
	sized, weights, waves := q.m.Opset() >= 13, map[string]prune.Weights{}, q.net.Waves(without)
	for i, wave := range waves {
		left, err := q.net.Apply(without, weights, sized)
		if err != nil {
			return nil, err
		}
		for _, some := range q.bounded(wave) {
			if err := q.fit(left, without, some, weights); err != nil {
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

// kept names the network of a step of the plan for a run that goes on later.
func (q *series) kept(at int) string {
	learned := "some"
	if q.last {
		learned = "all"
	}
	return fmt.Sprintf("network-%s-%d-of-%s.onnx", q.shape, at, learned)
}

// bounded are convolutions in parts that fit into memory at a time; what alone does
// not keeps its weights.
func (s *specialist) bounded(convs []*prune.Conv) (parts [][]*prune.Conv) {
	sum := 0
	for _, c := range convs {
		switch size := c.Room(s.sampling(positions)); {
		case size > maxRoom:
			continue
		case parts == nil || sum+size > maxRoom:
			parts, sum = append(parts, []*prune.Conv{c}), size
		default:
			last := len(parts) - 1
			parts[last], sum = append(parts[last], c), sum+size
		}
	}
	return parts
}

// fit finds the weights of some convolutions of a wave in what is left.
func (q *series) fit(left *graph.Graph, without prune.Set, wave []*prune.Conv, weights map[string]prune.Weights) error {
	g, taps := q.net.RefitProbe(left, without, wave, q.sampling(positions))
	sums := make([]prune.Moments, len(taps))
	err := q.look(g, taps, q.learn, func(_ int, seen [][]float32) {
		for k, v := range seen {
			sums[k].Add(v)
		}
	})
	if err != nil {
		return err
	}
	for k, c := range wave {
		if weights[c.Name], err = c.Refit(sums[2*k], sums[2*k+1], without); err != nil {
			return err
		}
	}
	return nil
}
