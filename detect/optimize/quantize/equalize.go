package quantize

import (
	"context"
	"fmt"
	"math"
	"slices"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// Equalize scales the channels of values so that they, and the weights that they meet,
// are alike in size: in 8-bit integers all channels of a value share their steps
// (M. Nagel et al.: Data-Free Quantization Through Weight Equalization and Bias
// Correction, 2019; here by how large values are on pictures). What the network
// computes changes by rounding alone. Convolutions to keep stay in floats, and take
// any factor. It returns how many convolutions were scaled.
func (p Pictures) Equalize(ctx context.Context, m *graph.Model, keep func(*graph.Node) bool) (int, error) {
	g := m.Graph
	known := g.Shapes(p.Shape.Width, p.Shape.Height)
	var all []*sizes
	var taps []onnx.Value
	for _, n := range g.Nodes {
		if c := g.Conv(n); c != nil && known[n.Outputs[0]] != nil {
			e := &sizes{g: g, maker: n, most: make([]float64, c.Out)}
			if e.follow(n.Outputs[0], 0, known) && len(e.uses) > 0 {
				all, taps = append(all, e), append(taps, onnx.Value{Name: n.Outputs[0], Dims: known[n.Outputs[0]]})
			}
		}
	}
	if len(all) == 0 {
		return 0, nil
	}
	tap, err := p.tap(m, taps)
	if err != nil {
		return 0, fmt.Errorf("look at channels: %w", err)
	}
	defer tap.Close()
	if err := p.each(ctx, tap, func(i int, v []float32) { all[i].widen(v) }); err != nil {
		return 0, err
	}
	n := 0
	for _, e := range all {
		if factors := e.factors(keep); factors != nil {
			e.scale(factors)
			n++
		}
	}
	return n, nil
}

// sizes are of the channels that one convolution makes.
type sizes struct {
	g     *graph.Graph
	maker *graph.Node
	uses  []use
	most  []float64 // the largest number of each
}

// use is a convolution that takes them, as its inputs from a number on.
type use struct {
	node *graph.Node
	from int
}

// follow finds the convolutions that use a value, of which the channels begin at from;
// false where it reaches what does not hand factors on.
func (e *sizes) follow(value string, from int, known map[string][]int64) bool {
	if e.g.IsOutput(value) {
		return false
	}
	for _, n := range e.g.Users(value) {
		switch n.Op {
		case "Conv":
			c := e.g.Conv(n)
			if c == nil || n.Inputs[0] != value || c.Groups != 1 && (c.Groups != c.In || c.Out != c.In) {
				return false
			}
			e.uses = append(e.uses, use{n, from})
		case "LeakyRelu", "Relu", "MaxPool", "AveragePool", "Identity":
			if !e.follow(n.Outputs[0], from, known) {
				return false
			}
		case "Concat":
			if !e.followConcat(n, value, from, known) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (e *sizes) followConcat(n *graph.Node, value string, from int, known map[string][]int64) bool {
	if axis := n.Int("axis", 0); axis != 1 && axis != -3 {
		return false
	}
	for _, in := range n.Inputs {
		dims := known[in]
		if len(dims) != 4 || in == value && !e.follow(n.Outputs[0], from, known) {
			return false
		}
		from += int(dims[1])
	}
	return true
}

// widen takes a picture's values in. Numbers below zero count for a part where an
// activation makes them small.
func (e *sizes) widen(v []float32) {
	below := math.Sqrt(slope(e.g, e.maker.Outputs[0]))
	area := len(v) / len(e.most)
	for c := range e.most {
		for _, x := range v[c*area : (c+1)*area] {
			e.most[c] = max(e.most[c], float64(x), -float64(x)*below)
		}
	}
}

// factors are what channels are divided by: halfway between channels of one size and
// weights of one size. nil where nothing is known of them.
func (e *sizes) factors(keep func(*graph.Node) bool) []float64 {
	const widest = 64 // a channel that is next to nothing stays so
	top, meets := slices.Max(e.most), make([]float64, len(e.most))
	if !(top > 0) || math.IsInf(top, 0) {
		return nil
	}
	for _, u := range e.uses {
		if c := e.g.Conv(u.node); c.Groups == 1 && !keep(u.node) { // else weights are as good at any size
			meet(c, u.from, meets)
		}
	}
	free := slices.Max(meets) == 0
	out := make([]float64, len(meets))
	for i, most := range e.most {
		if out[i] = max(most, top/widest); !free {
			out[i] = math.Sqrt(out[i] / max(meets[i], 1./widest))
		}
	}
	return out
}

// meet raises largest to the weights that inputs meet, from a number on: to their part
// of the largest that makes the same output.
func meet(c *graph.Conv, from int, largest []float64) {
	weights := c.Weights.Float32s()
	each := len(weights) / c.Out
	taps := each / c.In
	for k := range c.Out {
		row := weights[k*each : (k+1)*each]
		top := 1e-20
		for _, w := range row {
			top = max(top, math.Abs(float64(w)))
		}
		for i := range largest {
			for _, w := range row[(from+i)*taps : (from+i+1)*taps] {
				largest[i] = max(largest[i], math.Abs(float64(w))/top)
			}
		}
	}
}

// scale divides the channels, and multiplies the weights of who uses them.
func (e *sizes) scale(factors []float64) {
	c := e.g.Conv(e.maker)
	weights, bias := c.Weights.Float32s(), c.Bias(e.g)
	each := len(weights) / c.Out
	for k, f := range factors {
		bias[k] = float32(float64(bias[k]) / f)
		for i := range each {
			weights[k*each+i] = float32(float64(weights[k*each+i]) / f)
		}
	}
	c.Set(e.g, c.Weights.Dims, weights, bias)
	for _, u := range e.uses {
		c := e.g.Conv(u.node)
		weights := c.Weights.Float32s()
		depth := c.In / c.Groups // of the inputs that an output sees
		taps := len(weights) / c.Out / depth
		for i, f := range factors {
			at := u.from + i
			for k := range c.Out {
				if c.Groups > 1 && k != at { // each output sees its own input alone
					continue
				}
				first := (k*depth + at%depth) * taps
				for t := range taps {
					weights[first+t] = float32(float64(weights[first+t]) * f)
				}
			}
		}
		c.Set(e.g, c.Weights.Dims, weights, c.Bias(e.g))
	}
}
