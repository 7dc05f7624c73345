package optimize

import (
	"errors"
	"fmt"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// turn gives the groups that allow it other channels, of which more may go: those
// between layers without an activation, as a feature pyramid has them. The network
// computes what it did, but for rounding.
func (s *specialist) turn() error {
	const kept = "turned.onnx" // whoever measured its channels must meet the same ones
	if data := s.work.Load(kept); data != nil {
		if m, err := graph.Read(data); err == nil {
			return s.turned(m.Graph, s.linear())
		}
	}
	count := s.linear()
	if count == 0 {
		return nil
	}
	for i, g := range s.net.Groups {
		if !s.turnable(g) {
			continue
		}
		moments, err := s.moments(s.net.Consumers(g))
		if err != nil {
			return err
		}
		made, err := s.net.Turn(g, moments, s.m.Opset() >= 13)
		if err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
		m := *s.m
		m.Graph = made
		s.m = &m
		s.trace()
		if i >= len(s.net.Groups) || s.net.Groups[i].Name != g.Name {
			return errors.New("channels are grouped otherwise once they were turned")
		}
	}
	s.keep(kept, s.m.Write())
	return s.turned(s.m.Graph, count)
}

func (s *specialist) turnable(g prune.Group) bool {
	return len(s.marksOf(g)) > 0 && s.narrow(g) && s.net.Linear(g)
}

// linear is how many groups may be turned.
func (s *specialist) linear() (count int) {
	for _, g := range s.net.Groups {
		if s.turnable(g) {
			count++
		}
	}
	return count
}

// turned goes on with a network whose channels are others.
func (s *specialist) turned(g *graph.Graph, count int) error {
	m := *s.m
	m.Graph = g
	s.m = &m
	s.trace()
	step := Step{Name: "turned", Count: count, Detail: "groups of channels that no activation follows became others, of which fewer matter"}
	return s.noted(step, s.m, s.shape)
}

// moments are of what goes into some convolutions.
func (s *specialist) moments(convs []*prune.Conv) (map[string]prune.Moments, error) {
	g, taps := s.net.MomentProbe(convs, s.sampling(positions))
	sums := make([]prune.Moments, len(taps))
	err := s.look(g, taps, s.known, func(_ int, seen [][]float32) {
		for k, v := range seen {
			sums[k].Add(v)
		}
	})
	out := map[string]prune.Moments{}
	for i, c := range convs {
		out[c.Name] = sums[i]
	}
	return out, err
}
