package graph

// A Conv is a convolution whose weights are constant 32-bit floats, as its node was when
// it was asked for or was Set last.
type Conv struct {
	Node    *Node
	Weights *Tensor // [out, in / groups, height, width]
	Out, In int     // channels; in is all groups'
	Groups  int
}

// Conv reads a node as a convolution; it is nil where n is no such convolution.
func (g *Graph) Conv(n *Node) *Conv {
	if n == nil || n.Op != "Conv" || n.Domain != "" && n.Domain != "ai.onnx" {
		return nil
	}
	w := g.Tensors[n.Input(1)]
	bias := g.Tensors[n.Input(2)]
	if w == nil || w.Type != F32 || len(w.Dims) != 4 || w.Len() == 0 || n.Input(2) != "" && (bias == nil || bias.Type != F32) {
		return nil
	}
	c := &Conv{Node: n, Weights: w, Out: int(w.Dims[0]), Groups: int(n.Int("group", 1))}
	if c.Groups < 1 || c.Out%c.Groups != 0 || bias != nil && bias.Len() != c.Out {
		return nil
	}
	c.In = int(w.Dims[1]) * c.Groups
	return c
}

// Bias is a copy of the convolution's offsets, zeros where it has none.
func (c *Conv) Bias(g *Graph) []float32 {
	if t := g.Tensors[c.Node.Input(2)]; t != nil {
		return t.Float32s()
	}
	return make([]float32, c.Out)
}

// Set gives the convolution new weights and offsets, of which it is the owner then; what
// other nodes share stays as it was.
func (c *Conv) Set(g *Graph, dims []int64, weights, bias []float32) {
	c.Weights = NewFloat32("", dims, weights)
	own(g, c.Node, 1, c.Weights, c.Node.Outputs[0]+".weight")
	own(g, c.Node, 2, NewFloat32("", []int64{int64(len(bias))}, bias), c.Node.Outputs[0]+".bias")
}

// own gives a node a constant of its own in place of one that others may share, and
// drops that where none does: many nodes may be folded into large weights.
func own(g *Graph, n *Node, input int, t *Tensor, base string) {
	for len(n.Inputs) <= input {
		n.Inputs = append(n.Inputs, "")
	}
	if old := n.Inputs[input]; g.Alone(old) {
		delete(g.Tensors, old)
	}
	t.Name = g.Fresh(base)
	g.Tensors[t.Name] = t
	n.Inputs[input] = t.Name
}
