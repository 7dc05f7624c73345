package graphtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"sightline/detect/optimize/graph"
)

// Pixels is a side of the pictures that these networks take.
const Pixels = 160

// Layer is a convolution with seeded weights that keep values of one size.
func (b *Builder) Layer(x string, in, out, kernel, stride, groups int) string {
	values := b.Values(out * in / groups * kernel * kernel)
	for i := range values {
		values[i] *= float32(math.Sqrt(2 / float64(in/groups*kernel*kernel)))
	}
	dims := []int64{int64(out), int64(in / groups), int64(kernel), int64(kernel)}
	pad, step := int64(kernel/2), int64(stride)
	b.Node("Conv", []string{x, b.Constant(dims, values), b.Constant([]int64{int64(out)}, b.Values(out))}, Ints("kernel_shape", int64(kernel), int64(kernel)),
		Ints("pads", pad, pad, pad, pad), Ints("strides", step, step), &graph.Attr{Name: "group", Type: graph.Int, I: int64(groups)})
	return b.At
}

// Op adds a node, and returns its output.
func (b *Builder) Op(op string, inputs []string, attrs ...*graph.Attr) string {
	b.Node(op, inputs, attrs...)
	return b.At
}

func (b *Builder) list(v ...int64) string {
	name := fmt.Sprint("list", len(b.Graph.Tensors))
	b.Graph.Tensors[name] = graph.NewInt64(name, v...)
	return name
}

// silu is a convolution and its activation, as YOLO networks have them.
func (b *Builder) silu(x string, in, out, kernel, stride int) string {
	y := b.Layer(x, in, out, kernel, stride, 1)
	return b.Op("Mul", []string{y, b.Op("Sigmoid", []string{y})})
}

// Parts splits channels.
func (b *Builder) Parts(x string, along int64, sizes ...int64) []string {
	b.Op("Split", []string{x, b.list(sizes...)}, Axis(along))
	node := b.Graph.Nodes[len(b.Graph.Nodes)-1]
	node.Outputs = nil
	for i := range sizes {
		node.Outputs = append(node.Outputs, fmt.Sprint(b.At, "_", i))
	}
	return node.Outputs
}

// c2f is YOLOv8's block: half of the channels go through a bottleneck, and all that
// was on the way is joined.
func (b *Builder) c2f(x string, in, out int) string {
	half := out / 2
	p := b.Parts(b.silu(x, in, out, 1, 1), 1, int64(half), int64(half))
	y := b.Op("Add", []string{p[1], b.silu(b.silu(p[1], half, half, 3, 1), half, half, 3, 1)})
	return b.silu(b.Op("Concat", append(p, y), Axis(1)), 3*half, out, 1, 1)
}

// sppf pools three times over and joins all.
func (b *Builder) sppf(x string, c int) string {
	all := []string{b.silu(x, c, c/2, 1, 1)}
	for i := range 3 {
		all = append(all, b.Op("MaxPool", []string{all[i]}, Ints("kernel_shape", 5, 5), Ints("pads", 2, 2, 2, 2), Ints("strides", 1, 1)))
	}
	return b.silu(b.Op("Concat", all, Axis(1)), 2*c, c, 1, 1)
}

// YOLOv8 is a small network of YOLOv8n's shape with seeded random weights and three
// classes: C2f, SPPF, a feature pyramid, decoupled heads, distributions of distances.
func YOLOv8(t *testing.T) *graph.Model {
	const classes, bins = 3, 16
	b := Begin(8, 8)
	x := b.silu(b.silu("images", 3, 16, 3, 2), 16, 32, 3, 2)
	p3 := b.c2f(b.silu(b.c2f(x, 32, 32), 32, 32, 3, 2), 32, 32)
	p4 := b.c2f(b.silu(p3, 32, 64, 3, 2), 64, 64)
	p5 := b.sppf(b.c2f(b.silu(p4, 64, 64, 3, 2), 64, 64), 64)
	up := func(x string) string {
		return b.Op("Resize", []string{x, "", b.Constant([]int64{4}, []float32{1, 1, 2, 2})}, &graph.Attr{Name: "mode", Type: graph.String, S: []byte("nearest")},
			&graph.Attr{Name: "coordinate_transformation_mode", Type: graph.String, S: []byte("asymmetric")}, &graph.Attr{Name: "nearest_mode", Type: graph.String, S: []byte("floor")})
	}
	n4 := b.c2f(b.Op("Concat", []string{up(p5), p4}, Axis(1)), 128, 64)
	n3 := b.c2f(b.Op("Concat", []string{up(n4), p3}, Axis(1)), 96, 32)
	var flat []string
	cells := 0
	for i, level := range []struct {
		x string
		c int
	}{{n3, 32}, {n4, 64}, {p5, 64}} {
		box := b.Layer(b.silu(b.silu(level.x, level.c, 32, 3, 1), 32, 32, 3, 1), 32, 4*bins, 1, 1, 1)
		cls := b.Layer(b.silu(b.silu(level.x, level.c, 32, 3, 1), 32, 32, 3, 1), 32, classes, 1, 1, 1)
		both := b.Op("Concat", []string{box, cls}, Axis(1))
		flat = append(flat, b.Op("Reshape", []string{both, b.list(1, 4*bins+classes, -1)}))
		cells += Pixels * Pixels / (64 << (2 * i))
	}
	p := b.Parts(b.Op("Concat", flat, Axis(2)), 1, 4*bins, classes)
	dist := b.Op("Transpose", []string{b.Op("Reshape", []string{p[0], b.list(1, 4, bins, int64(cells))})}, Ints("perm", 0, 2, 1, 3))
	steps := make([]float32, bins)
	for i := range steps {
		steps[i] = float32(i)
	}
	dist = b.Op("Conv", []string{b.Op("Softmax", []string{dist}, Axis(1)), b.Constant([]int64{1, bins, 1, 1}, steps)}, Ints("kernel_shape", 1, 1))
	ends := b.Parts(b.Op("Reshape", []string{dist, b.list(1, 4, int64(cells))}), 1, 2, 2)
	anchors := b.Constant([]int64{1, 2, int64(cells)}, b.Values(2*cells))
	first, last := b.Op("Sub", []string{anchors, ends[0]}), b.Op("Add", []string{anchors, ends[1]})
	center := b.Op("Div", []string{b.Op("Add", []string{first, last}), b.Constant(nil, []float32{2})})
	boxes := b.Op("Concat", []string{center, b.Op("Sub", []string{last, first})}, Axis(1))
	b.Op("Concat", []string{boxes, b.Op("Sigmoid", []string{p[1]})}, Axis(1))
	return b.File(t, []int64{1, 4 + classes, int64(cells)})
}

// Separable is a small network of MobileNet-SSD's kind: depthwise convolutions with
// normalizations and activations that are cut off at six.
func Separable(t *testing.T) *graph.Model {
	b := Begin(5, 5)
	normal := func(x string, c int) string {
		dims, scale, spread := []int64{int64(c)}, b.Values(c), b.Values(c)
		for i := range c {
			scale[i], spread[i] = 1+.2*scale[i], 1+.2*spread[i]*spread[i]
		}
		y := b.Op("BatchNormalization", []string{x, b.Constant(dims, scale), b.Constant(dims, b.Values(c)), b.Constant(dims, b.Values(c)), b.Constant(dims, spread)})
		return b.Op("Clip", []string{y, b.Constant(nil, []float32{0}), b.Constant(nil, []float32{6})})
	}
	x, c := normal(b.Layer("images", 3, 16, 3, 2, 1), 16), 16
	for i := range 6 {
		x = normal(b.Layer(x, c, c, 3, 1+i%2, c), c)
		out := 16 + 16*i
		x, c = normal(b.Layer(x, c, out, 1, 1, 1), out), out
	}
	y := b.Layer(x, c, 24, 3, 1, 1)
	y = b.Op("Transpose", []string{y}, Ints("perm", 0, 2, 3, 1))
	b.Op("Softmax", []string{b.Op("Reshape", []string{y, b.list(1, 600, 4)})}, Axis(2))
	return b.File(t, []int64{1, 600, 4})
}

// File ends with what was made last, and is as if it was read from a file.
func (b *Builder) File(t *testing.T, dims []int64) *graph.Model {
	t.Helper()
	b.Graph.Inputs = []graph.Port{{Name: "images", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 3}, {Size: Pixels}, {Size: Pixels}}}}
	b.Graph.Outputs = []graph.Port{{Name: b.At, Type: graph.F32, Dims: graph.Fixed(dims)}}
	m := &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: b.Graph}
	read, err := graph.Read(append([]byte{8, 8}, m.Write()...)) // with the version of the format
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// NanoDet is a NanoDet head of one stride with two classes and four bins a side.
func NanoDet() *graph.Model {
	b := &Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rand.New(rand.NewPCG(1, 2)), At: "images", Channels: 3}
	g := b.Graph
	g.Inputs = []graph.Port{{Name: "images", Type: graph.F32, Dims: []graph.Dim{{Name: "N"}, {Size: 3}, {Name: "H"}, {Name: "W"}}}}
	b.Node("Conv", []string{"images", b.Constant([]int64{18, 3, 8, 8}, b.Values(18*3*64)), b.Constant([]int64{18}, b.Values(18))}, Ints("strides", 8, 8))
	for name, v := range map[string][]int64{"sizes": {2, 16}, "cls_shape": {0, 2, -1}, "reg_shape": {0, 16, -1}} {
		g.Tensors[name] = graph.NewInt64(name, v...)
	}
	perm := Ints("perm", 0, 2, 1)
	g.Nodes = append(g.Nodes,
		&graph.Node{Op: "Split", Inputs: []string{b.At, "sizes"}, Outputs: []string{"s0", "s1"}, Attrs: []*graph.Attr{{Name: "axis", Type: graph.Int, I: 1}}},
		&graph.Node{Op: "Sigmoid", Inputs: []string{"s0"}, Outputs: []string{"p"}},
		&graph.Node{Op: "Reshape", Inputs: []string{"p", "cls_shape"}, Outputs: []string{"r0"}},
		&graph.Node{Op: "Transpose", Inputs: []string{"r0"}, Outputs: []string{"cls8"}, Attrs: []*graph.Attr{perm}},
		&graph.Node{Op: "Reshape", Inputs: []string{"s1", "reg_shape"}, Outputs: []string{"r1"}},
		&graph.Node{Op: "Transpose", Inputs: []string{"r1"}, Outputs: []string{"reg8"}, Attrs: []*graph.Attr{perm}},
	)
	for i, name := range []string{"cls8", "reg8"} {
		g.Outputs = append(g.Outputs, graph.Port{Name: name, Type: graph.F32, Dims: []graph.Dim{{Name: "N"}, {Name: "cells"}, {Size: []int64{2, 16}[i]}}})
	}
	return &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Metadata: []graph.Entry{{Key: "names", Value: `["person","car"]`}}, Graph: g}
}
