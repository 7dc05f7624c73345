package exact

import (
	"fmt"
	"slices"

	"sightline/detect/optimize/graph"
)

// Winograd's minimal filtering F(4, 3) at the points 0, 1, -1, 2, -2 and infinity
// (A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks, 2015): four
// rows of what a filter of three rows gives, in six products in place of twelve.
var (
	winogradRows = [6][6]float32{ // of six input rows: what is multiplied
		{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1},
	}
	winogradFilter = []float32{ // of three filter rows: what it is multiplied with
		1. / 4, 0, 0, -1. / 6, -1. / 6, -1. / 6, -1. / 6, 1. / 6, -1. / 6, 1. / 24, 1. / 12, 1. / 6, 1. / 24, -1. / 12, 1. / 6, 0, 0, 1,
	}
	winogradBack = []float32{ // of six products: four rows
		1, 1, 1, 1, 1, 0, 0, 1, -1, 2, -2, 0, 0, 1, 1, 4, 4, 0, 0, 1, -1, 8, -8, 1,
	}
)

const winogradTile = 4 // rows that are made at a time

// Winograd computes convolutions of 3×3 by columns in Winograd's way, where that
// saves ONNX Runtime more multiplications than the sums around them cost. Results
// differ by rounding, some millionths of the largest. It takes any input size; known
// is for the one it will mostly see. saved are the multiply-adds that go.
func Winograd(m *graph.Model, known map[string][]int64) (n int, saved int64) {
	const leastOpset = 11 // in which Slice and Pad take inputs and negative axes are known
	if m.Opset() < leastOpset {
		return 0, 0
	}
	g := m.Graph
	for _, node := range slices.Clone(g.Nodes) {
		c := g.Conv(node)
		if c == nil || !square(c) {
			continue
		}
		if less := worth(c, known[node.Inputs[0]]); less > 0 {
			at := slices.Index(g.Nodes, node)
			g.Nodes = slices.Replace(g.Nodes, at, at+1, (&filtering{g: g, conv: c}).nodes()...)
			n, saved = n+1, saved+less
		}
	}
	g.Sweep()
	return n, saved
}

// square tells whether it slides 3×3 step by step over a picture with a rim of one.
func square(c *graph.Conv) bool {
	ones := func(v []int64, absent bool) bool {
		return v == nil && absent || v != nil && !slices.ContainsFunc(v, func(v int64) bool { return v != 1 })
	}
	n := c.Node
	return c.Groups == 1 && c.Weights.Dims[2] == 3 && c.Weights.Dims[3] == 3 && n.Text("auto_pad", "NOTSET") == "NOTSET" &&
		ones(n.Ints("pads"), false) && ones(n.Ints("strides"), true) && ones(n.Ints("dilations"), true)
}

// worth is how many multiply-adds are saved, 0 where it would not pay: the sums
// were timed against ONNX Runtime's convolutions with AVX-512 and AVX2.
func worth(c *graph.Conv, x []int64) int64 {
	const perInput, perOutput, each = 26, 85, 1_000_000 // multiply-adds that take as long
	if len(x) != 4 || x[1] != int64(c.In) {
		return 0
	}
	rows := (x[2] + winogradTile - 1) / winogradTile * winogradTile
	in, out := x[1]*x[2]*x[3], int64(c.Out)*rows*x[3]
	macs := 9 * int64(c.Out) * in
	less := macs - 9*int64(c.In)*out/2
	if float64(less) < 1.25*float64(perInput*in+perOutput*out+each) {
		return 0
	}
	return less
}

// filtering is one convolution on its way.
type filtering struct {
	g    *graph.Graph
	conv *graph.Conv
	made []*graph.Node
}

// nodes compute what the convolution does.
func (f *filtering) nodes() []*graph.Node {
	c, x, out := f.conv, f.conv.Node.Inputs[0], f.conv.Node.Outputs[0]
	filters := f.filters()
	var products []string
	for u, row := range winogradRows {
		inputs := []string{f.input(x, row), f.node("Gather", []string{filters, f.whole(int64(u))})}
		if u == 1 && c.Node.Input(2) != "" { // its product is in all four rows
			inputs = append(inputs, c.Node.Inputs[2])
		}
		products = append(products, f.node("Conv", inputs, intsOf("kernel_shape", 1, 3), intsOf("pads", 0, 1, 0, 1)))
	}
	all := f.node("Concat", products, axis(1))
	flat := f.node("Reshape", []string{all, f.list(0, int64(len(products)), -1)})
	rows := f.node("MatMul", []string{f.floats("back", []int64{winogradTile, 6}, winogradBack), flat})
	width := f.node("Gather", []string{f.node("Shape", []string{all}), f.list(3)})
	apart := f.node("Reshape", []string{rows, f.node("Concat", []string{f.list(0, winogradTile, -1), width}, axis(0))})
	turned := f.node("Transpose", []string{apart}, intsOf("perm", 0, 2, 1, 3))
	whole := f.node("Reshape", []string{turned, f.node("Concat", []string{f.list(0, int64(c.Out), -1), width}, axis(0))})
	height := f.node("Gather", []string{f.node("Shape", []string{x}), f.list(2)})
	f.node("Slice", []string{whole, f.list(0), height, f.list(2)})
	f.made[len(f.made)-1].Outputs[0] = out
	return f.made
}

// filters are the six filters [6, out, in, 1, 3]. The file has the three rows that
// they are made of, which engines do once when they read it.
func (f *filtering) filters() string {
	c := f.conv
	weights, n := c.Weights.Float32s(), c.Out*c.In
	rows := make([]float32, 0, len(weights))
	for k := range 3 {
		for i := range n {
			rows = append(rows, weights[9*i+3*k:9*i+3*k+3]...)
		}
	}
	all := f.node("MatMul", []string{f.floats("filter", []int64{6, 3}, winogradFilter), f.floats("rows", []int64{3, int64(3 * n)}, rows)})
	return f.node("Reshape", []string{all, f.list(6, int64(c.Out), int64(c.In), 1, 3)})
}

// input is what one of the six filters sees: a sum of rows, one for each four.
func (f *filtering) input(x string, sum [6]float32) string {
	first, last := 0, len(sum)-1
	for sum[first] == 0 {
		first++
	}
	for sum[last] == 0 {
		last--
	}
	taps := sum[first : last+1]
	kernel := slices.Repeat(taps, f.conv.In)
	high := int64(len(taps))
	below := int64(first) + high - 5 + winogradTile - 1 // so that a part of four rows counts as one
	return f.node("Conv", []string{x, f.floats("sum", []int64{int64(f.conv.In), 1, high, 1}, kernel)},
		intsOf("kernel_shape", high, 1), intsOf("strides", winogradTile, 1), intsOf("pads", int64(1-first), 0, below, 0),
		&graph.Attr{Name: "group", Type: graph.Int, I: int64(f.conv.In)})
}

func (f *filtering) node(op string, inputs []string, attrs ...*graph.Attr) string {
	name := fmt.Sprintf("%s/%s%d", f.conv.Node.Outputs[0], op, len(f.made))
	f.made = append(f.made, &graph.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{f.g.Fresh(name)}, Attrs: attrs})
	return f.made[len(f.made)-1].Outputs[0]
}

func (f *filtering) constant(t *graph.Tensor, base string) string {
	t.Name = f.g.Fresh(f.conv.Node.Outputs[0] + "/" + base)
	f.g.Tensors[t.Name] = t
	return t.Name
}

func (f *filtering) floats(base string, dims []int64, v []float32) string {
	return f.constant(graph.NewFloat32("", dims, v), base)
}

func (f *filtering) list(v ...int64) string { return f.constant(graph.NewInt64("", v...), "list") }

// whole is a single number, which has no dimensions.
func (f *filtering) whole(v int64) string {
	t := graph.NewInt64("", v)
	t.Dims = nil
	return f.constant(t, "number")
}

func intsOf(name string, v ...int64) *graph.Attr {
	return &graph.Attr{Name: name, Type: graph.Ints, Is: v}
}

func axis(v int64) *graph.Attr { return &graph.Attr{Name: "axis", Type: graph.Int, I: v} }
