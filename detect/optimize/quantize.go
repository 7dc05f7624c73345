package optimize

import (
	"maps"
	"math"
	"slices"

	"sightline/detect/optimize/graph"
)

// Form is where a network in 8-bit integers says so, by pairs of QuantizeLinear and
// DequantizeLinear (ONNX's QDQ format): each engine is fast with one of them.
type Form string

// Forms.
const (
	AroundConvolutions Form = "around convolutions" // OpenVINO: at the inputs of convolutions alone
	Everywhere         Form = "everywhere"          // ONNX Runtime: at every value between operators that it computes in integers
)

// plan says which values of a network become integers.
type plan struct {
	form   Form
	convs  map[*graph.Node]bool
	values []string // sorted
}

// integerOps are the operators that ONNX Runtime computes in 8-bit integers, besides
// convolutions.
var integerOps = []string{"LeakyRelu", "Relu", "Concat", "MaxPool", "Add", "Mul", "Resize", "Sigmoid", "AveragePool"}

// planFor chooses the values among those whose dimensions are known; the
// convolutions to keep stay in floats.
func planFor(g *graph.Graph, form Form, known map[string][]int64, keep func(*graph.Node) bool) plan {
	p := plan{form: form, convs: map[*graph.Node]bool{}}
	values, last, floats := map[string]bool{}, behindConvolutions(g), floatValues(g)
	whole := map[string]bool{} // values that are made in integers
	for _, n := range g.Nodes {
		c := g.Conv(n)
		switch {
		case c != nil && !keep(n):
			p.convs[n] = true
			values[n.Inputs[0]] = true
			if form == Everywhere {
				values[n.Outputs[0]], whole[n.Outputs[0]] = true, true
			}
		case form == Everywhere && c == nil && slices.Contains(integerOps, n.Op) && !last[n] &&
			slices.ContainsFunc(n.Inputs, func(in string) bool { return whole[in] }): // else it is faster in floats
			for _, in := range n.Inputs {
				if in != "" && g.Tensors[in] == nil {
					values[in] = true
				}
			}
			values[n.Outputs[0]], whole[n.Outputs[0]] = true, true
		}
	}
	for _, out := range g.Outputs {
		delete(values, out.Name)
	}
	maps.DeleteFunc(values, func(v string, _ bool) bool {
		return known[v] == nil || !floats[v] || onlyFloats(g, v, p.convs)
	})
	maps.DeleteFunc(p.convs, func(n *graph.Node, _ bool) bool { return !values[n.Inputs[0]] })
	p.values = slices.Sorted(maps.Keys(values))
	return p
}

// onlyFloats tells whether all that use a value are convolutions that stay in
// floats: in 8 bits it would gain nothing, and they decide about scores.
func onlyFloats(g *graph.Graph, value string, integers map[*graph.Node]bool) bool {
	return !slices.ContainsFunc(g.Users(value), func(n *graph.Node) bool { return n.Op != "Conv" || integers[n] })
}

// behindConvolutions are the nodes from which an output is reached without another
// convolution: they compute scores and places, for which 8 bits are too few.
func behindConvolutions(g *graph.Graph) map[*graph.Node]bool {
	last, needed := map[*graph.Node]bool{}, map[string]bool{}
	for _, p := range g.Outputs {
		needed[p.Name] = true
	}
	for _, n := range slices.Backward(g.Nodes) {
		if n.Op == "Conv" || !slices.ContainsFunc(n.Outputs, func(out string) bool { return needed[out] }) {
			continue
		}
		last[n] = true
		for _, in := range n.Inputs {
			needed[in] = true
		}
	}
	return last
}

// floatValues are the values known to be 32-bit floats.
func floatValues(g *graph.Graph) map[string]bool {
	floats := map[string]bool{}
	for _, p := range g.Inputs {
		floats[p.Name] = p.Type == graph.F32
	}
	for _, t := range g.Tensors {
		floats[t.Name] = t.Type == graph.F32
	}
	for _, n := range g.Nodes {
		is := floats[n.Input(0)]
		switch n.Op {
		case "Cast":
			is = n.Int("to", 0) == int64(graph.F32)
		case "Shape", "Size", "NonZero", "ArgMax", "ArgMin", "QuantizeLinear":
			is = false
		case "DequantizeLinear":
			is = true
		}
		for _, out := range n.Outputs {
			floats[out] = is
		}
	}
	return floats
}

// quantize puts the pairs in. spans has every value of the plan. Weights become
// signed bytes, symmetric, by output channel; biases 32-bit integers where the
// whole network is, as ONNX Runtime's integer convolutions want them.
func quantize(g *graph.Graph, p plan, spans map[string]span) {
	spans = aligned(g, p.form, spans)
	from := map[string]span{}
	for _, value := range p.values {
		from[pair(g, value, spans[value])] = spans[value]
	}
	for _, n := range slices.Clone(g.Nodes) {
		if p.convs[n] {
			integerWeights(g, n, from[n.Inputs[0]], p.form)
		}
	}
	g.Sweep()
}

// aligned gives values the same steps where an operator only moves numbers: it is
// computed in integers only then. Where values are joined in integers they share the
// steps of the whole, so that they are rounded once, and joined by copying bytes.
func aligned(g *graph.Graph, form Form, spans map[string]span) map[string]span {
	out := maps.Clone(spans)
	share := func(a, b string) (changed bool) {
		x, ok := out[a]
		y, there := out[b]
		if !ok || !there || x == y {
			return false
		}
		both := span{min(x.low, y.low), max(x.high, y.high)}
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
func pair(g *graph.Graph, value string, s span) string {
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
func integerWeights(g *graph.Graph, n *graph.Node, input span, form Form) {
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
