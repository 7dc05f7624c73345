package quantize

import (
	"math"
	"strings"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
)

// A convolution of next to no weights keeps its bias, which 32 bits in steps of the
// weights' size would not hold.
func TestBiasOutweighsWeights(t *testing.T) {
	b := graphtest.New(1)
	b.Node("Conv", []string{"x", b.Constant([]int64{2, 1, 1, 1}, []float32{0, 1e-9}), b.Constant([]int64{2}, []float32{.5, -3})})
	b.Channels = 2
	b.Node("Relu", []string{b.At})
	b.Conv()
	in := graphtest.Picture{C: 1, H: 4, W: 4, V: b.Float64s(16)}
	m := b.Model()
	first := b.Graph.Nodes[0].Outputs[0]
	p := PlanFor(b.Graph, Everywhere, b.Graph.Shapes(4, 4), func(*graph.Node) bool { return false })
	spans := map[string]Span{}
	for _, value := range p.Values {
		spans[value] = spanOf(t, b.Graph, value, in)
	}
	Mark(b.Graph, p, spans)
	cut := *m.Graph
	cut.Outputs = []graph.Port{{Name: first}}
	got := graphtest.Evaluate(t, &cut, in)
	if math.Abs(got.At(0, 1, 1)-.5) > .01 || math.Abs(got.At(1, 1, 1)+3) > .01 {
		t.Errorf("biases are %v and %v, want .5 and -3", got.At(0, 1, 1), got.At(1, 1, 1))
	}
}

// What computes scores and places from the last convolution's values stays in floats
// in both forms, and so does what is no float.
func TestTailsStayInFloats(t *testing.T) {
	b := graphtest.New(2)
	b.Graph.Nodes = append(b.Graph.Nodes, &graph.Node{Op: "Cast", Inputs: []string{"x"}, Outputs: []string{"whole"}, Attrs: []*graph.Attr{{Name: "to", Type: graph.Int, I: 6}}},
		&graph.Node{Op: "Add", Inputs: []string{"whole", "whole"}, Outputs: []string{"twice"}},
		&graph.Node{Op: "Cast", Inputs: []string{"twice"}, Outputs: []string{"back"}, Attrs: []*graph.Attr{{Name: "to", Type: graph.Int, I: 1}}})
	b.At = "back"
	b.Conv()
	b.Node("Relu", []string{b.At})
	inner := b.At
	b.Conv()
	head := b.At
	b.Node("Sigmoid", []string{head})
	b.Node("Mul", []string{b.At, b.Constant(nil, []float32{8})})
	b.Node("Concat", []string{b.At, head}, &graph.Attr{Name: "axis", Type: graph.Int, I: 1})
	m := b.Model()
	p := PlanFor(m.Graph, Everywhere, m.Graph.Shapes(8, 8), func(n *graph.Node) bool { return MakesOutput(m.Graph, n) })
	// the first convolution's input and output; what feeds the last alone does not gain
	if want := []string{"back", "v1"}; strings.Join(p.Values, " ") != strings.Join(want, " ") {
		t.Errorf("in 8 bits are %v, want %v, and %s in floats", p.Values, want, inner)
	}
}

// Networks that lack what their operators want are planned for as far as they go.
func TestPlanWithoutInputs(t *testing.T) {
	for _, op := range []string{"Transpose", "Concat", "Conv", "Split", "Mul", "Identity", "Pad", "Reshape", "BatchNormalization", "Resize", "MaxPool"} {
		g := &graph.Graph{Tensors: map[string]*graph.Tensor{"w": graph.NewFloat32("w", []int64{1, 1, 1, 1}, []float32{1})}}
		g.Nodes = []*graph.Node{{Op: op, Outputs: []string{"cls8"}, Attrs: []*graph.Attr{graphtest.Ints("perm", 0, 2, 1)}}, {Op: "Conv", Inputs: []string{"", "w"}, Outputs: []string{"y"}}}
		g.Outputs = []graph.Port{{Name: "cls8"}, {Name: "y"}}
		if p := PlanFor(g, Everywhere, g.Shapes(64, 64), func(*graph.Node) bool { return false }); len(p.Convs)+len(p.Values) > 0 {
			t.Errorf("%s: %v would be in integers", op, p.Values)
		}
	}
}
