package optimize

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
)

// The default model's arithmetic is known from its authors' table: 2090 million
// multiply-adds at 416×416.
func TestSizeOfTheDefaultModel(t *testing.T) {
	m := readGraph(t, testkit.Dep(t, "models/coco-nano.onnx"))
	if s := SizeOf(m, 416, 416); s.MACs/1e6 != 2090 || s.Nodes != 105 {
		t.Errorf("%+v", s)
	}
	known := shapes(m.Graph, 416, 320)
	for value, want := range map[string][]int64{
		"network_input": {1, 3, 320, 416}, "maxpool_1": {1, 32, 80, 104}, "cls8": {1, 2080, 80}, "reg32": {1, 130, 44}, "split_1_1": {1, 44, 40, 52},
	} {
		if diff := cmp.Diff(want, known[value]); diff != "" {
			t.Errorf("%s: %s", value, diff)
		}
	}
	for _, n := range m.Graph.Nodes {
		if known[n.Outputs[0]] == nil {
			t.Errorf("%s (%s): not known", n.Outputs[0], n.Op)
		}
	}
}

func TestShapes(t *testing.T) {
	g := &graph.Graph{Tensors: map[string]*graph.Tensor{
		"w": graph.NewFloat32("w", []int64{4, 3, 3, 3}, make([]float32, 108)), "half": graph.NewFloat32("half", []int64{4}, []float32{1, 1, .5, .5}),
		"rim": graph.NewInt64("rim", 0, 0, 1, 2, 0, 0, 3, 4), "flat": graph.NewInt64("flat", 0, -1, 2), "parts": graph.NewInt64("parts", 1, 3),
		"from": graph.NewInt64("from", 1, -7), "to": graph.NewInt64("to", 1<<40, -1), "axes": graph.NewInt64("axes", 3, -2), "twos": graph.NewInt64("twos", 2, 2),
	}}
	x := []int64{1, 3, 20, 30}
	for name, c := range map[string]struct {
		node *graph.Node
		want []int64
	}{
		"plain":      {&graph.Node{Op: "Conv", Inputs: []string{"x", "w"}}, []int64{1, 4, 18, 28}},
		"strided":    {&graph.Node{Op: "Conv", Inputs: []string{"x", "w"}, Attrs: []*graph.Attr{ints("strides", 2, 2), ints("pads", 1, 1, 1, 1)}}, []int64{1, 4, 10, 15}},
		"dilated":    {&graph.Node{Op: "Conv", Inputs: []string{"x", "w"}, Attrs: []*graph.Attr{ints("dilations", 2, 2)}}, []int64{1, 4, 16, 26}},
		"same":       {&graph.Node{Op: "MaxPool", Inputs: []string{"x"}, Attrs: []*graph.Attr{ints("kernel_shape", 3, 3), ints("strides", 2, 2), {Name: "auto_pad", Type: graph.String, S: []byte("SAME_UPPER")}}}, []int64{1, 3, 10, 15}},
		"padded":     {&graph.Node{Op: "Pad", Inputs: []string{"x", "rim"}}, []int64{1, 3, 24, 36}},
		"resized":    {&graph.Node{Op: "Resize", Inputs: []string{"x", "", "half"}}, []int64{1, 3, 10, 15}},
		"reshaped":   {&graph.Node{Op: "Reshape", Inputs: []string{"x", "flat"}}, []int64{1, 900, 2}},
		"transposed": {&graph.Node{Op: "Transpose", Inputs: []string{"x"}}, []int64{30, 20, 3, 1}},
		"gathered":   {&graph.Node{Op: "Gather", Inputs: []string{"x", "parts"}, Attrs: []*graph.Attr{{Name: "axis", Type: graph.Int, I: 1}}}, []int64{1, 2, 20, 30}},
		"joined":     {&graph.Node{Op: "Concat", Inputs: []string{"x", "x"}, Attrs: []*graph.Attr{{Name: "axis", Type: graph.Int, I: -3}}}, []int64{1, 6, 20, 30}},
		"sliced":     {&graph.Node{Op: "Slice", Inputs: []string{"x", "from", "to", "axes", "twos"}}, []int64{1, 3, 3, 15}},
		"emptied":    {&graph.Node{Op: "Slice", Inputs: []string{"x", "to", "from", "axes"}}, nil},
		"one place":  {&graph.Node{Op: "GlobalAveragePool", Inputs: []string{"x"}}, []int64{1, 3, 1, 1}},
		"broadcast":  {&graph.Node{Op: "Mul", Inputs: []string{"x", "column"}}, []int64{1, 3, 20, 30}},
		"by data":    {&graph.Node{Op: "NonZero", Inputs: []string{"x"}}, nil},
		"of nothing": {&graph.Node{Op: "Relu", Inputs: []string{"y"}}, nil},
	} {
		got := shapeOf(g, c.node, map[string][]int64{"x": x, "column": {3, 1, 1}, "parts": {2}})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	known := map[string][]int64{"x": {1, 4, 2, 2}}
	split(g, &graph.Node{Op: "Split", Inputs: []string{"x", "parts"}, Outputs: []string{"a", "b"}, Attrs: []*graph.Attr{{Name: "axis", Type: graph.Int, I: 1}}}, known)
	if diff := cmp.Diff([]int64{1, 3, 2, 2}, known["b"]); diff != "" {
		t.Error(diff)
	}
}
