// Package quantize puts networks into 8-bit integers: it plans which values, makes their
// channels alike, learns how large they are on pictures, marks them, and fits the last
// convolutions to what reaches them then. Whether what comes out is good enough is for
// others to judge.
package quantize

import (
	"maps"
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

// Plan says which values of a network become integers.
type Plan struct {
	Form   Form
	Convs  map[*graph.Node]bool
	Values []string // sorted
}

// integerOps are the operators that ONNX Runtime computes in 8-bit integers, besides
// convolutions.
var integerOps = []string{"LeakyRelu", "Relu", "Concat", "MaxPool", "Add", "Mul", "Resize", "Sigmoid", "AveragePool"}

// PlanFor chooses the values among those whose dimensions are known; the
// convolutions to keep stay in floats.
func PlanFor(g *graph.Graph, form Form, known map[string][]int64, keep func(*graph.Node) bool) Plan {
	p := Plan{Form: form, Convs: map[*graph.Node]bool{}}
	values, last, floats := map[string]bool{}, behindConvolutions(g), floatValues(g)
	whole := map[string]bool{} // values that are made in integers
	for _, n := range g.Nodes {
		c := g.Conv(n)
		switch {
		case c != nil && !keep(n):
			p.Convs[n] = true
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
		return known[v] == nil || !floats[v] || onlyFloats(g, v, p.Convs)
	})
	maps.DeleteFunc(p.Convs, func(n *graph.Node, _ bool) bool { return !values[n.Inputs[0]] })
	p.Values = slices.Sorted(maps.Keys(values))
	return p
}

// MakesOutput tells whether nothing but rearranging, in at most eight operators that
// are no convolutions, is between a convolution and an output.
func MakesOutput(g *graph.Graph, n *graph.Node) bool {
	front := []*graph.Node{n}
	for range 9 {
		var next []*graph.Node
		for _, n := range front {
			for _, out := range n.Outputs {
				if g.IsOutput(out) {
					return true
				}
				for _, user := range g.Users(out) {
					if user.Op != "Conv" && !slices.Contains(next, user) {
						next = append(next, user)
					}
				}
			}
		}
		front = next
	}
	return false
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
