package quantize

import (
	"math"

	"sightline/detect/optimize/graph"
)

// Span is the least and the most that a value was.
type Span struct{ Low, High float32 }

func (s *Span) widen(values []float32) {
	for _, v := range values {
		s.Low, s.High = min(s.Low, v), max(s.High, v)
	}
}

// within is the part of a span that those who use a value let through.
func (s Span) within(g *graph.Graph, value string) Span {
	low, high := s.High, s.Low
	for _, n := range g.Users(value) {
		from, to := s.Low, s.High
		switch n.Op {
		case "Relu":
			from = max(from, 0)
		case "Clip":
			least, most := g.Tensors[n.Input(1)].Float32s(), g.Tensors[n.Input(2)].Float32s()
			if len(least) == 1 {
				from = max(from, least[0])
			}
			if len(most) == 1 {
				to = min(to, most[0])
			}
		}
		low, high = min(low, from), max(high, to)
	}
	if g.IsOutput(value) || low >= high {
		return s
	}
	return Span{low, high}
}

// scale is the step of 8-bit steps over the span, widened to hold 0, and the step
// that stands for 0.
func (s Span) scale() (step float32, zero uint8) {
	low, high := min(s.Low, 0), max(s.High, 0)
	if step = (high - low) / 255; step < 1e-8 {
		return 1e-8, 0
	}
	return step, uint8(math.RoundToEven(float64(min(max(-low/step, 0), 255))))
}
