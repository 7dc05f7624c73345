package quantize

import (
	"maps"
	"math"
	"slices"

	"sightline/detect/optimize/graph"
)

// Mark puts the pairs in. spans has every value of the plan. Weights become
// signed bytes, symmetric, by output channel; biases 32-bit integers where the
// whole network is, as ONNX Runtime's integer convolutions want them.
func Mark(g *graph.Graph, p Plan, spans map[string]Span) {
	spans = aligned(g, p.Form, spans)
	from := map[string]Span{}
	for _, value := range p.Values {
		from[pair(g, value, spans[value])] = spans[value]
	}
	for _, n := range slices.Clone(g.Nodes) {
		if p.Convs[n] {
			integerWeights(g, n, from[n.Inputs[0]], p.Form)
		}
	}
	g.Sweep()
}

// aligned gives values the same steps where an operator only moves numbers: it is
// computed in integers only then. Where values are joined in integers they share the
// steps of the whole, so that they are rounded once, and joined by copying bytes.
func aligned(g *graph.Graph, form Form, spans map[string]Span) map[string]Span {
	out := maps.Clone(spans)
	share := func(a, b string) (changed bool) {
		x, ok := out[a]
		y, there := out[b]
		if !ok || !there || x == y {
			return false
		}
		both := Span{min(x.Low, y.Low), max(x.High, y.High)}
		out[a], out[b] = both, both
		return true
	}
	for changed := true; changed; { // spans only grow, and end at the widest
		changed = false
		for _, n := range g.Nodes {
			switch {
			case n.Op == "MaxPool" || n.Op == "Resize":
				changed = share(n.Inputs[0], n.Outputs[0]) || changed
			case n.Op == "Concat" && form == Everywhere:
				for _, in := range n.Inputs {
					changed = share(in, n.Outputs[0]) || changed
				}
			}
		}
	}
	return out
}

// dequantized ends the names of values that went through 8 bits.
const dequantized = "/dequantized"

// pair sends a value through 8 bits on its way to all who use it, and returns what
// it is called then.
func pair(g *graph.Graph, value string, s Span) string {
	step, zero := s.scale()
	scale, point := g.Fresh(value+"/step"), g.Fresh(value+"/zero")
	bytes, back := g.Fresh(value+"/quantized"), g.Fresh(value+dequantized)
	g.Tensors[scale] = graph.NewFloat32(scale, []int64{}, []float32{step})
	g.Tensors[point] = &graph.Tensor{Name: point, Type: graph.U8, Dims: []int64{}, Data: []byte{zero}}
	g.Redirect(value, back)
	q := &graph.Node{Op: "QuantizeLinear", Name: value + "/q", Inputs: []string{value, scale, point}, Outputs: []string{bytes}}
	d := &graph.Node{Op: "DequantizeLinear", Name: value + "/d", Inputs: []string{bytes, scale, point}, Outputs: []string{back}}
	at := 0
	if maker := g.Maker(value); maker != nil {
		at = slices.Index(g.Nodes, maker) + 1
	}
	g.Nodes = slices.Insert(g.Nodes, at, q, d)
	return back
}

// integerWeights gives a convolution weights, and perhaps a bias, in integers. Where
// weights are next to nothing beside the bias, their steps grow until it fits into
// 32 bits.
func integerWeights(g *graph.Graph, n *graph.Node, input Span, form Form) {
	c := g.Conv(n)
	weights, bias := c.Weights.Float32s(), c.Bias(g)
	each := len(weights) / c.Out
	step, _ := input.scale()
	steps, bytes := make([]float32, c.Out), make([]byte, 0, len(weights))
	for k := range c.Out {
		row := weights[k*each : (k+1)*each]
		most := float32(0)
		for _, w := range row {
			most = max(most, float32(math.Abs(float64(w))))
		}
		steps[k] = max(most/127, 1e-10)
		if form == Everywhere {
			const room = 1 << 30
			steps[k] = max(steps[k], float32(math.Abs(float64(bias[k]))/(float64(step)*room)))
		}
		for _, w := range row {
			bytes = append(bytes, byte(int8(math.RoundToEven(float64(w)/float64(steps[k])))))
		}
	}
	name := n.Outputs[0]
	put := func(suffix string, t *graph.Tensor) string {
		t.Name = g.Fresh(name + suffix)
		g.Tensors[t.Name] = t
		return t.Name
	}
	channels := []int64{int64(c.Out)}
	inputs := []string{
		put(".weight", &graph.Tensor{Type: graph.I8, Dims: c.Weights.Dims, Data: bytes}),
		put(".step", graph.NewFloat32("", channels, steps)),
		put(".zero", &graph.Tensor{Type: graph.I8, Dims: channels, Data: make([]byte, c.Out)}),
	}
	n.Inputs[1] = dequantize(g, n, inputs)
	if form == Everywhere {
		scales, whole := make([]float32, c.Out), make([]int32, c.Out)
		for k := range c.Out {
			scales[k] = step * steps[k]
			whole[k] = int32(min(max(math.RoundToEven(float64(bias[k])/float64(scales[k])), math.MinInt32), math.MaxInt32))
		}
		bias := dequantize(g, n, []string{put(".bias", graph.NewInt32("", channels, whole)), put(".biasstep", graph.NewFloat32("", channels, scales)), put(".biaszero", graph.NewInt32("", channels, make([]int32, c.Out)))})
		n.Inputs = append(n.Inputs[:2], bias)
	}
}

// dequantize puts a DequantizeLinear by channel in front of a node.
func dequantize(g *graph.Graph, before *graph.Node, inputs []string) string {
	out := inputs[0] + dequantized
	node := &graph.Node{Op: "DequantizeLinear", Name: inputs[0] + "/d", Inputs: inputs, Outputs: []string{out},
		Attrs: []*graph.Attr{{Name: "axis", Type: graph.Int, I: 0}}}
	g.Nodes = slices.Insert(g.Nodes, slices.Index(g.Nodes, before), node)
	return out
}

// Marked are the names of the convolutions that compute in integers.
func Marked(g *graph.Graph) map[string]bool {
	out := map[string]bool{}
	for _, n := range g.Nodes {
		if n.Op != "Conv" || len(n.Inputs) < 2 {
			continue
		}
		if from := g.Maker(n.Inputs[1]); from != nil && from.Op == "DequantizeLinear" {
			out[n.Outputs[0]] = true
		}
	}
	return out
}
