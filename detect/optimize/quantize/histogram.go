package quantize

import "sightline/detect/optimize/graph"

// histogram counts how often a value was how large, to choose the span that loses
// least in 8 bits.
type histogram struct {
	Span
	slope float64 // of what follows, for numbers below zero
	bins  [1024]int64
}

// slope is what numbers below zero are multiplied with by all that use a value: an
// error there counts for so much only. It is 1 where anything else uses it.
func slope(g *graph.Graph, value string) float64 {
	most := 0.0
	for _, n := range g.Users(value) {
		switch n.Op {
		case "LeakyRelu":
			most = max(most, float64(n.Float("alpha", .01)))
		default:
			return 1
		}
	}
	if g.IsOutput(value) {
		return 1
	}
	return most
}

func (h *histogram) count(values []float32) {
	per := float32(len(h.bins)) / max(h.High-h.Low, 1e-20)
	for _, v := range values {
		h.bins[min(max(int((v-h.Low)*per), 0), len(h.bins)-1)]++
	}
}

// best is the span with the least sum of squares of what is cut off and what is
// rounded. Only what an activation makes small is cut off: the largest numbers are
// rare, and what is seen in a picture.
func (h *histogram) best() Span {
	best, least := h.Span, h.loss(h.Span)
	for cut := float32(.1); cut < 1 && h.slope < 1 && h.Low < 0; cut += .1 {
		if s := (Span{h.Low * (1 - cut), h.High}); s.Low < s.High && h.loss(s) < least {
			best, least = s, h.loss(s)
		}
	}
	return best
}

func (h *histogram) loss(s Span) float64 {
	step, _ := s.scale()
	rounding := float64(step) * float64(step) / 12
	width := float64(h.High-h.Low) / float64(len(h.bins))
	low, high := float64(min(s.Low, 0)), float64(max(s.High, 0))
	sum := 0.0
	for i, n := range h.bins {
		if n == 0 {
			continue
		}
		v, loss := float64(h.Low)+(float64(i)+.5)*width, rounding
		switch {
		case v < low:
			loss = (v - low) * (v - low)
		case v > high:
			loss = (v - high) * (v - high)
		}
		if v < 0 {
			loss *= h.slope * h.slope
		}
		sum += float64(n) * loss
	}
	return sum
}
