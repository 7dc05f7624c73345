// Package exact makes networks simpler and faster and does not change what they compute,
// but for rounding. Each transformation works on a graph in place, and knows neither
// pictures nor engines.
package exact

import (
	"fmt"

	"sightline/detect/optimize/graph"
)

// Change is what one transformation did.
type Change struct {
	Name   string
	Detail string // in words, for people
	Count  int    // how many places it changed
}

// Simplify changes a network in place: constants, scales, offsets and paddings go into
// the convolutions beside them, the tail that only rearranges numbers is left to the
// kernels, and of the classes only those wanted stay (nil: all). It hands on each change
// when the network is as that left it; an error of done ends it.
func Simplify(m *graph.Model, classes []string, done func(Change) error) (err error) {
	g := m.Graph
	add := func(name string, n int, detail string) {
		if n > 0 && err == nil {
			err = done(Change{Name: name, Count: n, Detail: detail})
		}
	}
	add("constants", constants(g), "constant nodes became weights")
	add("identities", identities(g), "nodes that pass their input on were removed")
	add("paddings", paddings(g), "paddings went into the convolutions and pools behind them")
	add("affine", affine(g), "normalizations, scales and offsets went into the convolutions beside them")
	add("tail", tail(m), "sigmoid, reshape and transpose at the outputs were left to the kernels")
	if classes != nil {
		kept, had, lacks := sliceClasses(m, classes)
		if lacks != nil {
			return lacks
		}
		add("classes", had-kept, fmt.Sprintf("%d of %d classes stay", kept, had))
	}
	add("unused", g.Sweep(), "nodes that no output needs were removed")
	return err
}

// constants turns Constant nodes into tensors.
func constants(g *graph.Graph) (n int) {
	for _, node := range nodes(g, "Constant") {
		t := constant(node)
		if t == nil || len(node.Outputs) != 1 || g.IsOutput(node.Outputs[0]) {
			continue
		}
		t.Name = node.Outputs[0]
		g.Remove(node)
		g.Tensors[t.Name] = t
		n++
	}
	return n
}

// constant is the value of a Constant node, nil for kinds that no network here has.
func constant(n *graph.Node) *graph.Tensor {
	for _, a := range n.Attrs {
		switch a.Name {
		case "value":
			if a.T != nil {
				t := *a.T
				return &t
			}
		case "value_float":
			return graph.NewFloat32("", nil, []float32{a.F})
		case "value_floats":
			return graph.NewFloat32("", []int64{int64(len(a.Fs))}, a.Fs)
		case "value_ints":
			return graph.NewInt64("", a.Is...)
		case "value_int":
			t := graph.NewInt64("", a.I)
			t.Dims = nil
			return t
		}
	}
	return nil
}

// identities removes nodes that only pass a value on.
func identities(g *graph.Graph) (n int) {
	for _, node := range append(nodes(g, "Identity"), nodes(g, "Dropout")...) {
		trains := node.Op == "Dropout" && node.Input(2) != "" // training_mode
		mask := len(node.Outputs) > 1 && (len(g.Users(node.Outputs[1])) > 0 || g.IsOutput(node.Outputs[1]))
		if trains || mask || node.Input(0) == "" || g.IsOutput(node.Outputs[0]) {
			continue
		}
		g.Redirect(node.Outputs[0], node.Inputs[0])
		g.Remove(node)
		n++
	}
	return n
}

// nodes lists the standard operators of this kind, so that the graph may change
// while they are looked at.
func nodes(g *graph.Graph, op string) (out []*graph.Node) {
	for _, n := range g.Nodes {
		if n.Op == op && (n.Domain == "" || n.Domain == "ai.onnx") {
			out = append(out, n)
		}
	}
	return out
}
