package prune

import (
	"math"
	"slices"

	"sightline/detect/optimize/graph"
)

// Bounds of what is followed: channels of a value, and of all values together.
const (
	maxChannels = 1 << 16
	maxFollowed = 1 << 24
)

// carriers are operators of one value that change numbers or places, but no channel.
var carriers = []string{
	"LeakyRelu", "Relu", "Sigmoid", "HardSwish", "HardSigmoid", "Elu", "Tanh", "Softplus", "Mish", "Exp", "Sqrt", "Abs", "Neg", "Erf",
	"Identity", "Cast", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
}

// follow gives the outputs of a node their channels.
func (n *Net) follow(node *graph.Node) {
	from := n.lists[node.Input(0)]
	ok := false
	switch op := node.Op; {
	case node.Domain != "" && node.Domain != "ai.onnx" || n.followed > maxFollowed:
	case op == "Constant":
		return
	case op == "Conv":
		if c := n.conv(node); c != nil {
			n.convs = append(n.convs, c)
			n.lists[node.Outputs[0]], ok = slices.Clone(c.outs), true
		}
	case op == "Concat":
		ok = n.followConcat(node)
	case op == "Split":
		ok = n.followSplit(node)
	case slices.Contains([]string{"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu"}, op):
		ok = len(node.Inputs) == 2 && n.followPair(node)
	case op == "BatchNormalization":
		ok = from != nil && len(node.Outputs) == 1 && n.trimAll(node, []int{1, 2, 3, 4}, from) && n.pass(node)
	case op == "Clip" || op == "Dropout":
		ok = from != nil && !slices.ContainsFunc(node.Inputs[1:], func(in string) bool { return n.lists[in] != nil }) && n.pass(node)
	case op == "Resize" || op == "Upsample" || op == "Pad":
		ok = from != nil && n.sameChannels(node) && !n.sized(node) && n.pass(node)
	case op == "Slice":
		ok = from != nil && n.followSlice(node)
	case slices.Contains(carriers, op):
		ok = from != nil && len(node.Inputs) == 1 && n.pass(node)
	}
	if !ok {
		n.barrier(node)
	}
	for _, out := range node.Outputs {
		n.followed += len(n.lists[out])
	}
}

// pass hands the first input's channels on to the only output.
func (n *Net) pass(node *graph.Node) bool {
	for _, out := range node.Outputs[1:] {
		if out != "" {
			return false
		}
	}
	dims, list := n.known[node.Outputs[0]], n.lists[node.Inputs[0]]
	if len(dims) != 4 && node.Op != "GlobalAveragePool" && node.Op != "GlobalMaxPool" || dims != nil && dims[1] != int64(len(list)) {
		return false
	}
	n.lists[node.Outputs[0]] = slices.Clone(list)
	return true
}

// sameChannels tells whether a node leaves the number of pictures and channels alone
// and makes nothing of one channel out of another.
func (n *Net) sameChannels(node *graph.Node) bool {
	from, to := n.known[node.Inputs[0]], n.known[node.Outputs[0]]
	if len(from) != 4 || len(to) != 4 || from[0] != to[0] || from[1] != to[1] {
		return false
	}
	if node.Op != "Pad" {
		return true
	}
	pads := n.Graph.Tensors[node.Input(1)].Int64s()
	return len(pads) == 8 && pads[0]|pads[1]|pads[4]|pads[5] == 0 && node.Input(3) == ""
}

// sized tells whether an operator is told the number of channels that it makes, or
// makes one out of others beside it.
func (n *Net) sized(node *graph.Node) bool {
	at := 2 // of Resize; Upsample has its scales second
	switch node.Op {
	case "Pad":
		return false
	case "Upsample":
		at = 1
	}
	scales := n.Graph.Tensors[node.Input(at)].Float32s()
	return node.Input(3) != "" || node.Attr("axes") != nil || len(scales) != 4 || scales[1] != 1 ||
		node.Text("coordinate_transformation_mode", "") == "tf_crop_and_resize" // which may cut channels off
}

// window is a Slice that takes a run of channels.
type window struct {
	node     *graph.Node
	at       int // among its axes
	from, to int
	list     []int // classes of what it is cut from
}

// followSlice takes rows and columns, and a run of channels.
func (n *Net) followSlice(node *graph.Node) bool {
	var numbers [4][]int64 // starts, ends, axes, steps
	for i := range numbers {
		t := n.Graph.Tensors[node.Input(i+1)]
		if t != nil && t.Type != graph.I64 || t == nil && i < 3 {
			return false
		}
		if numbers[i] = t.Int64s(); i < 3 && len(numbers[i]) != len(numbers[0]) {
			return false
		}
	}
	list := n.lists[node.Inputs[0]]
	out := list
	for k, axis := range numbers[2] {
		switch axis {
		case 2, 3, -1, -2:
			continue
		case 1, -3:
		default:
			return false
		}
		if len(numbers[3]) > k && numbers[3][k] != 1 || len(out) != len(list) {
			return false
		}
		place := func(v int64) int {
			if v < 0 {
				v += int64(len(list))
			}
			return int(min(max(v, 0), int64(len(list))))
		}
		w := window{node: node, at: k, from: place(numbers[0][k]), to: place(numbers[1][k]), list: slices.Clone(list)}
		if w.to <= w.from {
			return false
		}
		out = list[w.from:w.to]
		if len(out) < len(list) {
			n.windows = append(n.windows, w)
		}
	}
	dims := n.known[node.Outputs[0]]
	if len(out) < len(list) && dims == nil || dims != nil && (len(dims) != 4 || dims[1] != int64(len(out))) {
		n.windows = slices.DeleteFunc(n.windows, func(w window) bool { return w.node == node })
		return false
	}
	n.lists[node.Outputs[0]] = slices.Clone(out)
	return true
}

func (n *Net) followConcat(node *graph.Node) bool {
	if axis := node.Int("axis", 0); axis != 1 && axis != -3 {
		return false
	}
	var all []int
	for _, in := range node.Inputs {
		list := n.lists[in]
		if list == nil {
			return false
		}
		if all = append(all, list...); len(all) > maxChannels {
			return false
		}
	}
	n.lists[node.Outputs[0]] = all
	return true
}

// followSplit cuts the channels into lists; their lengths are a constant that is
// trimmed with them.
func (n *Net) followSplit(node *graph.Node) bool {
	list := n.lists[node.Inputs[0]]
	if axis := node.Int("axis", 0); list == nil || axis != 1 && axis != -3 {
		return false
	}
	at := 0
	for _, out := range node.Outputs {
		dims := n.known[out]
		if len(dims) != 4 || dims[1] < 1 || dims[1] > int64(len(list)-at) {
			return false
		}
		n.lists[out] = slices.Clone(list[at : at+int(dims[1])])
		at += int(dims[1])
	}
	return at == len(list)
}

// followPair ties the channels of two values, or of one and a constant's numbers.
func (n *Net) followPair(node *graph.Node) bool {
	a, b := n.lists[node.Inputs[0]], n.lists[node.Inputs[1]]
	ta, tb := n.Graph.Tensors[node.Inputs[0]], n.Graph.Tensors[node.Inputs[1]]
	out := node.Outputs[0]
	switch {
	case a != nil && tb != nil:
		n.lists[out] = slices.Clone(a)
		return n.constant(node, 1, tb, a)
	case b != nil && ta != nil:
		n.lists[out] = slices.Clone(b)
		return n.constant(node, 0, ta, b)
	case a == nil || b == nil:
		return false
	case len(a) == len(b):
		for i := range a {
			n.union(a[i], b[i])
		}
		n.lists[out] = slices.Clone(a)
		return true
	case len(b) == 1:
		n.pin(node.Inputs[1], "spread over channels")
		n.lists[out] = slices.Clone(a)
		return true
	case len(a) == 1:
		n.pin(node.Inputs[0], "spread over channels")
		n.lists[out] = slices.Clone(b)
		return true
	}
	return false
}

// constant notes a constant operand that has a number for each channel.
func (n *Net) constant(node *graph.Node, input int, t *graph.Tensor, list []int) bool {
	if len(t.Dims) > 4 || len(t.Dims) == 4 && t.Dims[0] != 1 {
		return false
	}
	axis := len(t.Dims) - 3
	if axis < 0 || t.Dims[axis] == 1 {
		return true
	}
	if t.Dims[axis] != int64(len(list)) || t.Type != graph.F32 {
		return false
	}
	n.trims = append(n.trims, trim{node: node, input: input, axis: axis, list: slices.Clone(list)})
	return true
}

// trimAll notes constants of one axis.
func (n *Net) trimAll(node *graph.Node, inputs []int, list []int) bool {
	for _, i := range inputs {
		t := n.Graph.Tensors[node.Input(i)]
		if t == nil || t.Type != graph.F32 || len(t.Dims) != 1 || t.Dims[0] != int64(len(list)) {
			return false
		}
	}
	for _, i := range inputs {
		n.trims = append(n.trims, trim{node: node, input: i, list: slices.Clone(list)})
	}
	return true
}

// cut takes the places that stay along one axis of a constant.
func cut(t *graph.Tensor, axis int, stay []int) *graph.Tensor {
	values, before, after := t.Float32s(), 1, 1
	for i, d := range t.Dims {
		switch {
		case i < axis:
			before *= int(d)
		case i > axis:
			after *= int(d)
		}
	}
	had := int(t.Dims[axis])
	out := make([]float32, 0, before*len(stay)*after)
	for b := range before {
		for _, k := range stay {
			at := (b*had + k) * after
			out = append(out, values[at:at+after]...)
		}
	}
	dims := slices.Clone(t.Dims)
	dims[axis] = int64(len(stay))
	return graph.NewFloat32("", dims, out)
}

// finite tells whether all numbers are.
func finite[F float32 | float64](values []F) bool {
	return !slices.ContainsFunc(values, func(v F) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) })
}
