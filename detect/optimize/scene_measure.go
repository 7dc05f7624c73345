package optimize

import (
	"errors"
	"fmt"
	"math"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/prune"
)

// Bounds of what is measured, and of the memory it takes.
const (
	maxColumns = 4700    // of a convolution: its moments have the square of it
	maxRoom    = 1 << 26 // numbers that are held at a time
	positions  = 2500    // of a convolution's output, for each picture
	gain       = 10      // how much more a position counts where something is
	worst      = 1e6     // that is lost, where what comes out is no number too
)

func (s *specialist) sampling(positions int) prune.Sampling {
	return prune.Sampling{Positions: positions, Turn: onnx.TurnInput, Weight: s.focus, Gain: gain}
}

// measure orders the channels of some groups and measures, on pictures that the order
// was not learned from, what it costs to lose the first of them. Of the other groups
// nothing is known.
func (s *specialist) measure(groups []int) ([]prune.Measured, error) {
	var fit, try []*decode.Frame
	for i, f := range s.known {
		if i%4 == 1 && len(try) < mostTried {
			try = append(try, f)
		} else {
			fit = append(fit, f)
		}
	}
	base, err := s.newGauge(try)
	if err != nil {
		return nil, err
	}
	measured := make([]prune.Measured, len(s.net.Groups))
	var open []int
	for _, i := range groups {
		g := s.net.Groups[i]
		switch {
		case s.work.load(fmt.Sprintf("group-%d.json", i), &measured[i]) && measured[i].Fits(g):
		case len(s.marksOf(g)) == 0: // too few to take a block away
		case s.narrow(g):
			open = append(open, i)
		default:
			s.log.Warn("channels stay: to measure them would take too much memory", "convolution", g.Name)
		}
	}
	done := len(groups) - len(open)
	for len(open) > 0 {
		now := s.together(open)
		inverses, err := s.inverses(open[:now], fit)
		if err != nil {
			return nil, err
		}
		for _, i := range open[:now] {
			s.progress("measuring what channels are needed for", done, len(groups))
			if measured[i], err = s.group(s.net.Groups[i], inverses, base); err != nil {
				return nil, err
			}
			s.keep(fmt.Sprintf("group-%d.json", i), marshal(measured[i]))
			done++
		}
		open = open[now:]
	}
	s.progress("measuring what channels are needed for", done, len(groups))
	return measured, nil
}

// marksOf are the numbers of channels at whose loss a group is measured: whole
// blocks, at most six, or the first two where little may go.
func (s *specialist) marksOf(g prune.Group) (marks []int) {
	n, block := len(g.Classes), s.block()
	each := max(block, (n/6+block-1)/block*block)
	for k := each; n-k >= block; k += each {
		marks = append(marks, k)
	}
	if s.gentle {
		marks = marks[:min(2, len(marks))]
	}
	return marks
}

// narrow tells whether the moments of all who use a group fit into memory.
func (s *specialist) narrow(g prune.Group) bool {
	sum := 0
	for _, c := range s.net.Consumers(g) {
		if sum += c.Room(s.sampling(positions)); c.Columns() > maxColumns || sum > maxRoom {
			return false
		}
	}
	return true
}

// together is how many of the groups can be measured at a time.
func (s *specialist) together(open []int) (count int) {
	seen, sum := map[string]bool{}, 0
	for i, at := range open {
		for _, c := range s.net.Consumers(s.net.Groups[at]) {
			if !seen[c.Name] {
				seen[c.Name] = true
				sum += c.Room(s.sampling(positions))
			}
		}
		if sum > maxRoom && i > 0 {
			return i
		}
	}
	return len(open)
}

// inverses learns the moments of what goes into the convolutions that use some
// groups.
func (s *specialist) inverses(groups []int, frames []*decode.Frame) (map[string]*prune.Inverse, error) {
	var convs []*prune.Conv
	seen := map[string]bool{}
	for _, i := range groups {
		for _, c := range s.net.Consumers(s.net.Groups[i]) {
			if !seen[c.Name] {
				seen[c.Name] = true
				convs = append(convs, c)
			}
		}
	}
	g, taps := s.net.MomentProbe(convs, s.sampling(positions))
	moments := make([]prune.Moments, len(taps))
	err := s.look(g, taps, frames, func(i int, seen [][]float32) {
		for k, v := range seen {
			moments[k].Add(v)
		}
		s.progress("learning what the scene is like", i+1, len(frames))
	})
	if err != nil {
		return nil, err
	}
	out := map[string]*prune.Inverse{}
	for i, c := range convs {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		if out[c.Name], err = c.Invert(moments[i]); err != nil {
			return nil, err
		}
		moments[i] = nil
		s.progress("learning how channels depend on each other", i+1, len(convs))
	}
	return out, nil
}

// group orders and measures one.
func (s *specialist) group(g prune.Group, inverses map[string]*prune.Inverse, base gauge) (prune.Measured, error) {
	var m prune.Measured
	marks := s.marksOf(g)
	chunk := max(1, len(g.Classes)/32)
	rank, err := s.net.Rank(g, inverses, len(g.Classes)-marks[len(marks)-1], chunk, marks, func(gone []int, weights map[string]prune.Weights) error {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		without := prune.Set{}
		for _, k := range gone {
			without[g.Classes[k]] = true
		}
		left, err := s.net.Apply(without, weights, s.m.Opset() >= 13)
		if err != nil {
			return err
		}
		made := *s.m
		made.Graph = left
		loss, err := base.distance(&made)
		if !(math.Abs(loss) <= worst) {
			loss = worst
		}
		m.Losses = append(m.Losses, prune.Loss{Count: len(gone), Loss: loss})
		return err
	})
	if errors.Is(err, prune.ErrEmpty) {
		err = nil // as many as were measured may go
	}
	m.Order = rank.Order
	return m, err
}
