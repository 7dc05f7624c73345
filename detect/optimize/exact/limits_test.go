package exact

import (
	"math"
	"strings"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
)

// What would not compute the same stays.
func TestWhatMustStay(t *testing.T) {
	for name, make := range map[string]func() *graph.Model{
		"several channels of one": func() *graph.Model {
			b := graphtest.New(1)
			b.Node("Mul", []string{"x", b.Constant([]int64{1, 3, 1, 1}, []float32{1, 2, 3})})
			b.Channels = 3
			b.Node("Conv", []string{b.At, b.Constant([]int64{1, 3, 1, 1}, b.Values(3))})
			return b.Model()
		},
		"a mask that leaves": func() *graph.Model {
			b := graphtest.New(2)
			b.Node("Dropout", []string{"x"})
			b.Graph.Nodes[0].Outputs = append(b.Graph.Nodes[0].Outputs, "mask")
			b.Conv()
			m := b.Model()
			b.Graph.Outputs = append(b.Graph.Outputs, graph.Port{Name: "mask", Type: graph.Bool})
			return m
		},
		"windows that begin in the padding": func() *graph.Model {
			b := graphtest.New(2)
			lowest(b)
			b.Node("MaxPool", []string{b.At}, graphtest.Ints("kernel_shape", 3, 3), &graph.Attr{Name: "ceil_mode", Type: graph.Int, I: 1})
			return b.Model()
		},
		"padding as wide as the window": func() *graph.Model {
			b := graphtest.New(2)
			lowest(b)
			b.Node("MaxPool", []string{b.At}, graphtest.Ints("kernel_shape", 1, 1))
			return b.Model()
		},
	} {
		m := make()
		had := len(m.Graph.Nodes)
		if steps, err := simplify(m, nil); err != nil || len(steps) != 0 || len(m.Graph.Nodes) != had {
			t.Errorf("%s: %v, %v: %d of %d nodes", name, steps, err, len(m.Graph.Nodes), had)
		}
	}
}

// lowest pads by one with what is less than anything.
func lowest(b *graphtest.Builder) {
	b.Graph.Tensors["rim"] = graph.NewInt64("rim", 0, 0, 1, 1, 0, 0, 1, 1)
	b.Node("Pad", []string{b.At, "rim", b.Constant(nil, []float32{float32(math.Inf(-1))})})
}

// Networks that lack what their operators want are left as they are.
func TestNodesWithoutInputs(t *testing.T) {
	for _, op := range []string{"Transpose", "Concat", "Conv", "Split", "Mul", "Identity", "Pad", "Reshape", "BatchNormalization", "Resize", "MaxPool"} {
		g := &graph.Graph{Tensors: map[string]*graph.Tensor{"w": graph.NewFloat32("w", []int64{1, 1, 1, 1}, []float32{1})}}
		g.Nodes = []*graph.Node{{Op: op, Outputs: []string{"cls8"}, Attrs: []*graph.Attr{graphtest.Ints("perm", 0, 2, 1)}}, {Op: "Conv", Inputs: []string{"", "w"}, Outputs: []string{"y"}}}
		g.Outputs = []graph.Port{{Name: "cls8"}, {Name: "y"}}
		if _, err := simplify(&graph.Model{Graph: g}, nil); err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// Heads that have fewer rows than there are names are refused.
func TestTooManyNames(t *testing.T) {
	m := graphtest.NanoDet()
	m.SetMeta("names", `["person"`+strings.Repeat(`,"car"`, 20)+`]`)
	if _, err := simplify(m, []string{"car"}); err == nil || !strings.Contains(err.Error(), "18 rows") {
		t.Errorf("got %v", err)
	}
}

// Large weights are not kept once for each of many scales behind them.
func TestFoldedWeightsGo(t *testing.T) {
	b := graphtest.New(2)
	b.Conv()
	for range 20 {
		b.Node("Mul", []string{b.At, b.Constant(nil, []float32{1.5})})
	}
	m := b.Model()
	affine(m.Graph)
	large := 0
	for _, w := range m.Graph.Tensors {
		if len(w.Dims) == 4 {
			large++
		}
	}
	if large != 1 || len(m.Graph.Nodes) != 1 {
		t.Errorf("%d weights of %d nodes", large, len(m.Graph.Nodes))
	}
}
