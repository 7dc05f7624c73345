package graph

import "slices"

// Shapes follows the dimensions of all values through a network for one picture of
// width × height (ONNX operators, versions 11 to 21). Values behind an operator that
// is not known, or whose dimensions depend on data, are left out.
func (g *Graph) Shapes(width, height int) map[string][]int64 {
	known := map[string][]int64{}
	for _, p := range g.Inputs {
		known[p.Name] = inputShape(p, int64(width), int64(height))
	}
	for name, t := range g.Tensors {
		known[name] = append([]int64{}, t.Dims...) // a single number has none, and is known
	}
	for _, n := range g.Nodes {
		if n.Op == "Split" {
			split(g, n, known)
			continue
		}
		if dims := shapeOf(g, n, known); dims != nil && n.Outputs[0] != "" {
			known[n.Outputs[0]] = dims
		}
	}
	return known
}

// inputShape is of pictures with the channels first or last.
func inputShape(p Port, width, height int64) []int64 {
	switch {
	case len(p.Dims) != 4:
		return nil
	case p.Dims[1].Size != 3 && p.Dims[3].Size == 3:
		return []int64{1, height, width, 3}
	case p.Dims[1].Size == 0:
		return nil
	}
	return []int64{1, p.Dims[1].Size, height, width}
}

// shapeOf is of a node's first output, nil where not known.
func shapeOf(g *Graph, n *Node, known map[string][]int64) []int64 {
	x := known[n.Input(0)]
	if x == nil {
		return nil
	}
	switch n.Op {
	case "Conv":
		if c := g.Conv(n); c != nil && len(x) == 4 {
			return []int64{x[0], int64(c.Out), window(n, x[2], c.Weights.Dims[2:], 0), window(n, x[3], c.Weights.Dims[2:], 1)}
		}
	case "MaxPool", "AveragePool":
		if k := n.Ints("kernel_shape"); len(x) == 4 && n.Int("ceil_mode", 0) == 0 {
			return []int64{x[0], x[1], window(n, x[2], k, 0), window(n, x[3], k, 1)}
		}
	case "Concat":
		return joined(n, known)
	case "Resize", "Upsample":
		return resized(g, n, x)
	case "Transpose":
		return permuted(x, n.Ints("perm"))
	case "Slice":
		return sliced(g, n, x)
	case "GlobalAveragePool", "GlobalMaxPool":
		if len(x) == 4 {
			return []int64{x[0], x[1], 1, 1}
		}
	case "Reshape":
		return reshaped(x, g.Tensors[n.Input(1)].Int64s())
	case "Gather":
		return gathered(n, x, known[n.Input(1)])
	case "Pad":
		pads := g.Tensors[n.Input(1)].Int64s()
		if n.Input(1) == "" { // before version 11
			pads = n.Ints("pads")
		}
		if n.Input(3) != "" { // of some axes
			return nil
		}
		return padded(x, pads)
	case "Add", "Sub", "Mul", "Div", "Max", "Min", "Pow":
		return broadcast(x, known[n.Input(1)])
	case "Cast", "LeakyRelu", "Relu", "Sigmoid", "Tanh", "Clip", "HardSwish", "HardSigmoid", "Elu", "Exp", "Sqrt", "Softmax",
		"PRelu", "Neg", "Abs", "Erf", "BatchNormalization", "Identity", "Dropout", "QuantizeLinear", "DequantizeLinear", "Softplus", "Mish":
		return x
	}
	return nil
}

// window is a side after a sliding window went over it.
func window(n *Node, side int64, kernel []int64, axis int) int64 {
	pads, strides, dilations := n.Ints("pads"), n.Ints("strides"), n.Ints("dilations")
	if axis >= len(kernel) {
		return 0
	}
	stride, dilation, pad := int64(1), int64(1), int64(0)
	if axis < len(strides) {
		stride = max(1, strides[axis])
	}
	if axis < len(dilations) {
		dilation = dilations[axis]
	}
	switch auto := n.Text("auto_pad", "NOTSET"); {
	case auto == "SAME_UPPER" || auto == "SAME_LOWER":
		return (side + stride - 1) / stride
	case axis+2 < len(pads):
		pad = pads[axis] + pads[axis+2]
	}
	return max(0, (side+pad-dilation*(kernel[axis]-1)-1)/stride+1)
}

// axisOf is an axis counted from the front, -1 where there is no such.
func axisOf(n *Node, rank int, absent int64) int {
	axis := n.Int("axis", absent)
	if axis < 0 {
		axis += int64(rank)
	}
	if axis < 0 || axis >= int64(rank) {
		return -1
	}
	return int(axis)
}

func joined(n *Node, known map[string][]int64) []int64 {
	out := slices.Clone(known[n.Inputs[0]])
	axis := axisOf(n, len(out), 0)
	for _, in := range n.Inputs[1:] {
		dims := known[in]
		if axis < 0 || len(dims) != len(out) {
			return nil
		}
		out[axis] += dims[axis]
	}
	return out
}

func split(g *Graph, n *Node, known map[string][]int64) {
	x := known[n.Input(0)]
	axis := axisOf(n, len(x), 0)
	if x == nil || axis < 0 {
		return
	}
	sizes := g.Tensors[n.Input(1)].Int64s()
	switch {
	case n.Input(1) != "" && sizes == nil:
		return
	case sizes == nil: // before version 13
		sizes = n.Ints("split")
	}
	for i, out := range n.Outputs {
		dims := slices.Clone(x)
		switch {
		case i < len(sizes):
			dims[axis] = sizes[i]
		case sizes == nil && x[axis]%int64(len(n.Outputs)) == 0:
			dims[axis] /= int64(len(n.Outputs))
		default:
			return
		}
		if out != "" {
			known[out] = dims
		}
	}
}

func resized(g *Graph, n *Node, x []int64) []int64 {
	if sizes := g.Tensors[n.Input(3)].Int64s(); len(sizes) == len(x) {
		return sizes
	}
	at := 2 // of Resize; Upsample has them second
	if n.Op == "Upsample" {
		at = 1
	}
	scales := g.Tensors[n.Input(at)].Float32s()
	if a := n.Attr("scales"); scales == nil && n.Input(at) == "" && a != nil { // Upsample before version 9
		scales = a.Fs
	}
	if len(scales) != len(x) {
		return nil
	}
	out := slices.Clone(x)
	for i := range out {
		out[i] = int64(float64(out[i]) * float64(scales[i]))
	}
	return out
}

func permuted(x, perm []int64) []int64 {
	out := make([]int64, len(x))
	for i := range out {
		from := int64(len(x) - 1 - i)
		if len(perm) == len(x) {
			from = perm[i]
		}
		if from < 0 || from >= int64(len(x)) {
			return nil
		}
		out[i] = x[from]
	}
	return out
}

func reshaped(x, to []int64) []int64 {
	if to == nil {
		return nil
	}
	out, total, rest := slices.Clone(to), int64(1), -1
	for _, d := range x {
		total *= d
	}
	for i, d := range out {
		switch {
		case d == 0 && i < len(x):
			out[i] = x[i]
		case d == -1 && rest < 0:
			rest = i
			continue
		case d < 1:
			return nil
		}
		total /= max(1, out[i])
	}
	if rest >= 0 {
		out[rest] = total
	}
	return out
}

// sliced is what a Slice of constant bounds leaves.
func sliced(g *Graph, n *Node, x []int64) []int64 {
	starts, ends, axes, steps := g.Tensors[n.Input(1)].Int64s(), g.Tensors[n.Input(2)].Int64s(), g.Tensors[n.Input(3)].Int64s(), g.Tensors[n.Input(4)].Int64s()
	if len(starts) != len(axes) || len(ends) != len(axes) || axes == nil || n.Input(4) != "" && len(steps) != len(axes) {
		return nil
	}
	out := slices.Clone(x)
	for i, axis := range axes {
		if axis < 0 {
			axis += int64(len(x))
		}
		step := int64(1)
		if steps != nil {
			step = steps[i]
		}
		if axis < 0 || axis >= int64(len(x)) || step < 1 {
			return nil
		}
		place := func(v int64) int64 {
			if v < 0 {
				v += x[axis]
			}
			return min(max(v, 0), x[axis])
		}
		run := place(ends[i]) - place(starts[i])
		if run < 1 {
			return nil
		}
		out[axis] = (run-1)/step + 1
	}
	return out
}

func gathered(n *Node, x, indices []int64) []int64 {
	axis := axisOf(n, len(x), 0)
	if axis < 0 || indices == nil {
		return nil
	}
	return slices.Concat(x[:axis], indices, x[axis+1:])
}

func padded(x, pads []int64) []int64 {
	if len(pads) != 2*len(x) {
		return nil
	}
	out := slices.Clone(x)
	for i := range out {
		out[i] += pads[i] + pads[i+len(x)]
	}
	return out
}

func broadcast(a, b []int64) []int64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	if a == nil || b == nil {
		return nil
	}
	out := slices.Clone(a)
	for i, d := range b {
		at := len(a) - len(b) + i
		out[at] = max(out[at], d)
	}
	return out
}
