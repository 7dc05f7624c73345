package optimize

import (
	"sightline/detect/optimize/graph"
)

// Size is what a network weighs.
type Size struct {
	Nodes      int   `json:"nodes"`
	Parameters int   `json:"parameters"`
	Bytes      int   `json:"bytes"`          // of the file
	MACs       int64 `json:"macs,omitempty"` // multiply-adds of the convolutions for one picture; 0: not known
}

// SizeOf weighs a network for an input of width × height.
func SizeOf(m *graph.Model, width, height int) Size {
	s := Size{Nodes: len(m.Graph.Nodes), Bytes: len(m.Write())}
	for _, t := range m.Graph.Tensors {
		if t.Type == graph.F32 || t.Type == graph.F16 || t.Type == graph.I8 {
			s.Parameters += t.Len()
		}
	}
	for _, l := range Layers(m, width, height) {
		if l.MACs == 0 {
			s.MACs = 0
			return s
		}
		s.MACs += l.MACs
	}
	return s
}

// Layer is one convolution.
type Layer struct {
	Name     string `json:"name"`
	Channels int    `json:"channels"`
	MACs     int64  `json:"macs,omitempty"`
}

// Layers are the convolutions of a network, in its order. Sizes of pictures are
// followed through strides, pools, resizes and joins; where that is not possible
// MACs stay 0.
func Layers(m *graph.Model, width, height int) []Layer {
	g := m.Graph
	sides := map[string][2]int64{}
	for _, p := range g.Inputs {
		sides[p.Name] = [2]int64{int64(height), int64(width)}
	}
	var out []Layer
	for _, n := range g.Nodes {
		side := sidesOf(g, n, sides)
		for _, o := range n.Outputs {
			sides[o] = side
		}
		if c := convOf(g, n); c != nil {
			out = append(out, Layer{Name: n.Outputs[0], Channels: c.out, MACs: side[0] * side[1] * int64(c.weights.Len())})
		}
	}
	return out
}

// sidesOf is the height and width of what a node makes, zeros where not known.
func sidesOf(g *graph.Graph, n *graph.Node, known map[string][2]int64) (out [2]int64) {
	for _, in := range n.Inputs { // elementwise and joins: the largest of the inputs
		for i, side := range known[in] {
			out[i] = max(out[i], side)
		}
	}
	kernel := n.Ints("kernel_shape")
	if c := convOf(g, n); c != nil {
		kernel = c.weights.Dims[2:]
	}
	switch n.Op {
	case "Conv", "MaxPool", "AveragePool":
		for i := range out {
			out[i] = window(n, out[i], kernel, i)
		}
	case "Resize", "Upsample":
		scales := g.Tensors[n.Input(len(n.Inputs)-1)].Float32s()
		if len(scales) != 4 {
			return [2]int64{}
		}
		for i := range out {
			out[i] = int64(float64(out[i]) * float64(scales[2+i]))
		}
	case "Reshape", "Flatten", "Gather", "Slice", "MatMul", "Gemm":
		return [2]int64{}
	}
	return out
}

// window is a side after a sliding window went over it (ONNX Conv, explicit pads).
func window(n *graph.Node, side int64, kernel []int64, axis int) int64 {
	pads, strides, dilations := n.Ints("pads"), n.Ints("strides"), n.Ints("dilations")
	if axis >= len(kernel) || side == 0 {
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
