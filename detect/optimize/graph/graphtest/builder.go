// Package graphtest makes networks for tests, random and of known families, and computes
// small ones plainly, so that what a transformation made of them can be held against it.
package graphtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"sightline/detect/optimize/graph"
)

// A Builder makes networks node by node, each at the end of the last, and random ones of
// the things that exact simplification folds. Constants come from Rand.
type Builder struct {
	Graph    *graph.Graph
	Rand     *rand.Rand
	At       string // the value made last
	Channels int
	count    int
}

// Values are random numbers around 0.
func (b *Builder) Values(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(b.Rand.NormFloat64())
	}
	return out
}

// Constant adds a tensor, and returns its name.
func (b *Builder) Constant(dims []int64, values []float32) string {
	name := fmt.Sprint("c", len(b.Graph.Tensors))
	b.Graph.Tensors[name] = graph.NewFloat32(name, dims, values)
	return name
}

// Node adds a node, of which the output is At then.
func (b *Builder) Node(op string, inputs []string, attrs ...*graph.Attr) {
	b.count++
	out := fmt.Sprint("v", b.count)
	b.Graph.Nodes = append(b.Graph.Nodes, &graph.Node{Name: out, Op: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs})
	b.At = out
}

// Axis is the attribute of that name.
func Axis(v int64) *graph.Attr {
	return &graph.Attr{Name: "axis", Type: graph.Int, I: v}
}

// Ints is an attribute of integers.
func Ints(name string, v ...int64) *graph.Attr {
	return &graph.Attr{Name: name, Type: graph.Ints, Is: v}
}

// Conv adds a random convolution of 3×3, perhaps a depthwise one.
func (b *Builder) Conv() {
	out, groups := 1+b.Rand.IntN(4), 1
	if b.Rand.IntN(3) == 0 { // depthwise
		out, groups = b.Channels, b.Channels
	}
	dims := []int64{int64(out), int64(b.Channels / groups), 3, 3}
	inputs := []string{b.At, b.Constant(dims, b.Values(out*b.Channels/groups*9))}
	if b.Rand.IntN(2) == 0 {
		inputs = append(inputs, b.Constant([]int64{int64(out)}, b.Values(out)))
	}
	b.Node("Conv", inputs, Ints("pads", 1, 1, 1, 1), &graph.Attr{Name: "group", Type: graph.Int, I: int64(groups)})
	b.Channels = out
}

// Normalization adds a random BatchNormalization.
func (b *Builder) Normalization() {
	dims := []int64{int64(b.Channels)}
	variance := b.Values(b.Channels)
	for i, v := range variance {
		variance[i] = v*v + .1
	}
	b.Node("BatchNormalization", []string{b.At, b.Constant(dims, b.Values(b.Channels)), b.Constant(dims, b.Values(b.Channels)),
		b.Constant(dims, b.Values(b.Channels)), b.Constant(dims, variance)})
}

func (b *Builder) arithmetic() {
	op := []string{"Mul", "Div", "Add", "Sub"}[b.Rand.IntN(4)]
	n, dims := 1, []int64(nil)
	if b.Rand.IntN(2) == 0 {
		n, dims = b.Channels, []int64{int64(b.Channels), 1, 1}
	}
	v := b.Values(n)
	for i := range v {
		v[i] = float32(math.Copysign(math.Abs(float64(v[i]))+.3, float64(v[i])))
	}
	inputs := []string{b.At, b.Constant(dims, v)}
	if b.Rand.IntN(2) == 0 && (op == "Mul" || op == "Add") {
		inputs[0], inputs[1] = inputs[1], inputs[0]
	}
	b.Node(op, inputs)
}

func (b *Builder) pad() {
	name := fmt.Sprint("p", b.count)
	b.Graph.Tensors[name] = graph.NewInt64(name, 0, 0, int64(b.Rand.IntN(2)), 1, 0, 0, 1, 0)
	b.Node("Pad", []string{b.At, name})
}

// Random is a chain of random nodes, ended by a convolution.
func Random(rng *rand.Rand) *graph.Model {
	b := &Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rng, At: "x", Channels: 2}
	b.Graph.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 2}, {Size: 5}, {Size: 6}}}}
	for range 3 + rng.IntN(6) {
		[]func(){b.Conv, b.Conv, b.Normalization, b.arithmetic, b.arithmetic, b.pad,
			func() { b.Node("Identity", []string{b.At}) }, func() { b.Node("Relu", []string{b.At}) }}[rng.IntN(8)]()
	}
	b.Conv()
	b.Graph.Outputs = []graph.Port{{Name: b.At, Type: graph.F32}}
	return &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: b.Graph}
}

// Float64s are random numbers around 0.
func (b *Builder) Float64s(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = b.Rand.NormFloat64()
	}
	return out
}

// Begin is a Builder of a network that has no input yet.
func Begin(seed, stream uint64) *Builder {
	return &Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rand.New(rand.NewPCG(seed, stream))}
}

// New begins with an input x of so many channels.
func New(channels int64) *Builder {
	b := &Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rand.New(rand.NewPCG(1, 4)), At: "x", Channels: int(channels)}
	b.Graph.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: channels}, {}, {}}}}
	return b
}

// Model ends with what was made last.
func (b *Builder) Model() *graph.Model {
	b.Graph.Outputs = []graph.Port{{Name: b.At, Type: graph.F32}}
	return &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: b.Graph}
}
