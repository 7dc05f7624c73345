package prune

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"sightline/detect/optimize/graph"
)

// Weights are what a convolution computes with, of the original's size: of channels
// that are gone they are not looked at.
type Weights struct {
	Of   []float32 // as the convolution has them
	Bias []float32
}

// Original are the weights that the convolution came with. They must not be changed.
func (c *Conv) Original() Weights { return Weights{c.weights, c.bias} }

// ErrEmpty says that nothing would be left of a value.
var ErrEmpty = errors.New("nothing would be left")

// Apply makes the network without some channels; convolutions that are not named in
// weights keep theirs. sized tells that Split takes its lengths as an input, which
// it does from version 13 of ONNX's operators on. It fails with ErrEmpty alone.
func (n *Net) Apply(without Set, weights map[string]Weights, sized bool) (*graph.Graph, error) {
	for _, node := range n.Graph.Nodes {
		for _, out := range node.Outputs {
			if list := n.lists[out]; len(list) > 0 && len(kept(list, without)) == 0 {
				return nil, fmt.Errorf("take channels from %s: %w", out, ErrEmpty)
			}
		}
	}
	g, at := duplicate(n.Graph)
	for _, c := range n.convs {
		w, named := weights[c.Name]
		if !named {
			w = c.Original()
		}
		if named || c.touched(without) {
			c.write(g, at[c.node], w, without)
		}
	}
	for _, t := range n.trims {
		if stay := kept(t.list, without); len(stay) < len(t.list) {
			node := at[t.node]
			own(g, node, t.input, cut(g.Tensors[node.Inputs[t.input]], t.axis, stay))
		}
	}
	for _, w := range n.windows {
		w.move(g, at[w.node], without)
	}
	for _, node := range n.Graph.Nodes {
		if node.Op == "Split" && n.lists[node.Outputs[0]] != nil && n.lists[node.Inputs[0]] != nil {
			n.resplit(g, at[node], without, sized)
		}
	}
	g.Sweep()
	return g, nil
}

// duplicate copies a graph, so that nodes and the table of constants may change; the
// constants themselves are shared.
func duplicate(from *graph.Graph) (*graph.Graph, map[*graph.Node]*graph.Node) {
	g := *from
	at := map[*graph.Node]*graph.Node{}
	g.Tensors, g.Nodes = maps.Clone(from.Tensors), make([]*graph.Node, len(from.Nodes))
	g.Inputs, g.Outputs = slices.Clone(from.Inputs), slices.Clone(from.Outputs)
	for i, node := range from.Nodes {
		c := *node
		c.Inputs, c.Outputs, c.Attrs = slices.Clone(node.Inputs), slices.Clone(node.Outputs), slices.Clone(node.Attrs)
		g.Nodes[i], at[node] = &c, &c
	}
	return &g, at
}

func (c *Conv) touched(without Set) bool {
	gone := func(class int) bool { return without[class] }
	return slices.ContainsFunc(c.ins, gone) || slices.ContainsFunc(c.outs, gone)
}

// write gives a convolution in a graph what stays of its weights.
func (c *Conv) write(g *graph.Graph, node *graph.Node, w Weights, without Set) {
	var weights, bias []float32
	depth := 0
	for _, o := range kept(c.outs, without) {
		bias = append(bias, w.Bias[o])
		row := w.Of[o*c.Columns() : (o+1)*c.Columns()]
		if c.depthwise() {
			weights, depth = append(weights, row...), 1
			continue
		}
		ins := kept(c.partIns(o/c.partOuts()), without)
		depth = len(ins)
		for _, i := range ins {
			weights = append(weights, row[i*c.taps():(i+1)*c.taps()]...)
		}
	}
	if c.depthwise() {
		node.Set(&graph.Attr{Name: "group", Type: graph.Int, I: int64(len(kept(c.ins, without)))})
	}
	own(g, node, 1, graph.NewFloat32("", []int64{int64(len(bias)), int64(depth), int64(c.kh), int64(c.kw)}, weights))
	own(g, node, 2, graph.NewFloat32("", []int64{int64(len(bias))}, bias))
}

// own gives a node a constant of its own.
func own(g *graph.Graph, node *graph.Node, input int, t *graph.Tensor) {
	for len(node.Inputs) <= input {
		node.Inputs = append(node.Inputs, "")
	}
	t.Name = node.Inputs[input]
	if t.Name == "" || !g.Alone(t.Name) {
		t.Name = g.Fresh(fmt.Sprintf("%s.pruned%d", node.Outputs[0], input))
	}
	g.Tensors[t.Name] = t
	node.Inputs[input] = t.Name
}

// resplit tells a Split how many channels are left for each part.
func (n *Net) resplit(g *graph.Graph, node *graph.Node, without Set, sized bool) {
	var sizes []int64
	same := true
	for _, out := range node.Outputs {
		sizes = append(sizes, int64(len(kept(n.lists[out], without))))
		same = same && int(sizes[len(sizes)-1]) == len(n.lists[out])
	}
	if same {
		return
	}
	if !sized {
		node.Set(&graph.Attr{Name: "split", Type: graph.Ints, Is: sizes})
		return
	}
	node.Attrs = slices.DeleteFunc(node.Attrs, func(a *graph.Attr) bool { return a.Name == "num_outputs" })
	own(g, node, 1, graph.NewInt64("", sizes...))
}

// move tells a Slice where its channels are now.
func (w window) move(g *graph.Graph, node *graph.Node, without Set) {
	for i, place := range []int{w.from, w.to} {
		input := i + 1
		values := g.Tensors[node.Inputs[input]].Int64s()
		values[w.at] = int64(len(kept(w.list[:place], without)))
		own(g, node, input, graph.NewInt64("", values...))
	}
}
