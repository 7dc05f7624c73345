package exact

import (
	"math"
	"slices"

	"sightline/detect/optimize/graph"
)

// affine folds scales and offsets by channel into the convolutions beside them, each
// chain of them from the convolution on.
func affine(g *graph.Graph) (n int) {
	const side = 64 // any does: only channels are asked for
	known := g.Shapes(side, side)
	for had := -1; had != n; {
		had = n
		for _, node := range slices.Clone(g.Nodes) {
			if foldBehind(g, node) {
				n++
			}
		}
		for _, node := range slices.Backward(slices.Clone(g.Nodes)) {
			if foldAhead(g, node, known) {
				n++
			}
		}
	}
	return n
}

// foldBehind folds y = conv(x)·scale + offset, node being what scales.
func foldBehind(g *graph.Graph, node *graph.Node) bool {
	from, scale, offset := affineOf(g, node)
	if scale == nil || g.IsOutput(from) {
		return false
	}
	c := g.Conv(g.Maker(from))
	if c == nil || !g.Alone(from) {
		return false
	}
	s, o := spread(scale, c.Out), spread(offset, c.Out)
	if s == nil || o == nil {
		return false
	}
	weights, bias := c.Weights.Float32s(), c.Bias(g)
	each := len(weights) / c.Out
	for k := range c.Out {
		for i := range each {
			weights[k*each+i] = float32(float64(weights[k*each+i]) * s[k])
		}
		bias[k] = float32(float64(bias[k])*s[k] + o[k])
	}
	c.Node.Outputs[0] = node.Outputs[0]
	moveTo(g, c.Node, node)
	c.Set(g, c.Weights.Dims, weights, bias)
	return true
}

// moveTo puts a node in another's place, behind all that is before that.
func moveTo(g *graph.Graph, n, place *graph.Node) {
	g.Remove(n)
	g.Nodes[slices.Index(g.Nodes, place)] = n
}

// foldAhead folds y = conv(x·scale); an offset would be wrong at the borders, which
// are padded with zeros behind it. x must have the channels that the convolution
// takes: a scale by channel makes several of one.
func foldAhead(g *graph.Graph, node *graph.Node, known map[string][]int64) bool {
	from, scale, offset := affineOf(g, node)
	if scale == nil || node.Op == "BatchNormalization" || slices.ContainsFunc(offset, func(v float64) bool { return v != 0 }) || !g.Alone(node.Outputs[0]) {
		return false
	}
	c := g.Conv(g.Users(node.Outputs[0])[0])
	if c == nil || c.Node.Inputs[0] != node.Outputs[0] {
		return false
	}
	s, x := spread(scale, c.In), known[from]
	if s == nil || len(x) != 4 || x[1] != int64(c.In) {
		return false
	}
	weights := c.Weights.Float32s()
	taps, depth := len(weights)/c.Out/int(c.Weights.Dims[1]), int(c.Weights.Dims[1])
	for i := range weights {
		k, d := i/(taps*depth), i/taps%depth
		channel := k/(c.Out/c.Groups)*depth + d
		weights[i] = float32(float64(weights[i]) * s[channel])
	}
	c.Node.Inputs[0] = from
	g.Remove(node)
	c.Set(g, c.Weights.Dims, weights, c.Bias(g))
	return true
}

// affineOf reads a node as from·scale + offset, by channel or the same for all;
// scale is nil where it is nothing of the kind.
func affineOf(g *graph.Graph, n *graph.Node) (from string, scale, offset []float64) {
	if n.Domain != "" && n.Domain != "ai.onnx" || len(n.Outputs) == 0 {
		return "", nil, nil
	}
	if n.Op == "BatchNormalization" {
		scale, offset = normalization(g, n)
		return n.Input(0), scale, offset
	}
	if len(n.Inputs) != 2 {
		return "", nil, nil
	}
	from = n.Inputs[0]
	values := channels(g.Tensors[n.Inputs[1]])
	if swapped := channels(g.Tensors[from]); values == nil && swapped != nil && (n.Op == "Mul" || n.Op == "Add") {
		from, values = n.Inputs[1], swapped
	}
	if values == nil || g.Tensors[from] != nil {
		return "", nil, nil
	}
	one, zero := []float64{1}, []float64{0}
	switch n.Op {
	case "Mul":
		return from, values, zero
	case "Div":
		return from, apply(values, func(v float64) float64 { return 1 / v }), zero
	case "Add":
		return from, one, values
	case "Sub":
		return from, one, apply(values, func(v float64) float64 { return -v })
	}
	return "", nil, nil
}

// normalization reads a BatchNormalization as it is at run time.
func normalization(g *graph.Graph, n *graph.Node) (scale, offset []float64) {
	var v [4][]float32 // scale, offset, mean, variance
	for i := range v {
		v[i] = g.Tensors[n.Input(i+1)].Float32s()
		if len(v[i]) == 0 || len(v[i]) != len(v[0]) {
			return nil, nil
		}
	}
	if len(n.Outputs) > 1 || n.Int("training_mode", 0) != 0 {
		return nil, nil
	}
	epsilon := float64(n.Float("epsilon", 1e-5))
	for i := range v[0] {
		s := float64(v[0][i]) / math.Sqrt(float64(v[3][i])+epsilon)
		scale = append(scale, s)
		offset = append(offset, float64(v[1][i])-float64(v[2][i])*s)
	}
	return scale, offset
}

// channels reads a constant that broadcasts over [N, C, H, W] by channel, or is one
// number.
func channels(t *graph.Tensor) []float64 {
	if t == nil || t.Type != graph.F32 || t.Len() == 0 || len(t.Dims) > 4 {
		return nil
	}
	at := len(t.Dims) - 3 // where the channel is
	for i, d := range t.Dims {
		if i != at && d != 1 {
			return nil
		}
	}
	return apply(t.Float32s(), func(v float32) float64 { return float64(v) })
}

func apply[A any](in []A, f func(A) float64) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// spread makes n values of one or n; nil of any other number, or where one is not
// finite.
func spread(v []float64, n int) []float64 {
	if slices.ContainsFunc(v, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		return nil
	}
	switch len(v) {
	case n:
		return v
	case 1:
		return slices.Repeat(v, n)
	}
	return nil
}
