package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShapes(t *testing.T) {
	g := &Graph{Tensors: map[string]*Tensor{
		"w": NewFloat32("w", []int64{4, 3, 3, 3}, make([]float32, 108)), "half": NewFloat32("half", []int64{4}, []float32{1, 1, .5, .5}),
		"rim": NewInt64("rim", 0, 0, 1, 2, 0, 0, 3, 4), "flat": NewInt64("flat", 0, -1, 2), "parts": NewInt64("parts", 1, 3),
		"from": NewInt64("from", 1, -7), "to": NewInt64("to", 1<<40, -1), "axes": NewInt64("axes", 3, -2), "twos": NewInt64("twos", 2, 2),
	}}
	x := []int64{1, 3, 20, 30}
	for name, c := range map[string]struct {
		node *Node
		want []int64
	}{
		"plain":      {&Node{Op: "Conv", Inputs: []string{"x", "w"}}, []int64{1, 4, 18, 28}},
		"strided":    {&Node{Op: "Conv", Inputs: []string{"x", "w"}, Attrs: []*Attr{{Name: "strides", Type: Ints, Is: []int64{2, 2}}, {Name: "pads", Type: Ints, Is: []int64{1, 1, 1, 1}}}}, []int64{1, 4, 10, 15}},
		"dilated":    {&Node{Op: "Conv", Inputs: []string{"x", "w"}, Attrs: []*Attr{{Name: "dilations", Type: Ints, Is: []int64{2, 2}}}}, []int64{1, 4, 16, 26}},
		"same":       {&Node{Op: "MaxPool", Inputs: []string{"x"}, Attrs: []*Attr{{Name: "kernel_shape", Type: Ints, Is: []int64{3, 3}}, {Name: "strides", Type: Ints, Is: []int64{2, 2}}, {Name: "auto_pad", Type: String, S: []byte("SAME_UPPER")}}}, []int64{1, 3, 10, 15}},
		"padded":     {&Node{Op: "Pad", Inputs: []string{"x", "rim"}}, []int64{1, 3, 24, 36}},
		"resized":    {&Node{Op: "Resize", Inputs: []string{"x", "", "half"}}, []int64{1, 3, 10, 15}},
		"reshaped":   {&Node{Op: "Reshape", Inputs: []string{"x", "flat"}}, []int64{1, 900, 2}},
		"transposed": {&Node{Op: "Transpose", Inputs: []string{"x"}}, []int64{30, 20, 3, 1}},
		"gathered":   {&Node{Op: "Gather", Inputs: []string{"x", "parts"}, Attrs: []*Attr{{Name: "axis", Type: Int, I: 1}}}, []int64{1, 2, 20, 30}},
		"joined":     {&Node{Op: "Concat", Inputs: []string{"x", "x"}, Attrs: []*Attr{{Name: "axis", Type: Int, I: -3}}}, []int64{1, 6, 20, 30}},
		"sliced":     {&Node{Op: "Slice", Inputs: []string{"x", "from", "to", "axes", "twos"}}, []int64{1, 3, 3, 15}},
		"emptied":    {&Node{Op: "Slice", Inputs: []string{"x", "to", "from", "axes"}}, nil},
		"one place":  {&Node{Op: "GlobalAveragePool", Inputs: []string{"x"}}, []int64{1, 3, 1, 1}},
		"broadcast":  {&Node{Op: "Mul", Inputs: []string{"x", "column"}}, []int64{1, 3, 20, 30}},
		"by data":    {&Node{Op: "NonZero", Inputs: []string{"x"}}, nil},
		"of nothing": {&Node{Op: "Relu", Inputs: []string{"y"}}, nil},
	} {
		got := shapeOf(g, c.node, map[string][]int64{"x": x, "column": {3, 1, 1}, "parts": {2}})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	known := map[string][]int64{"x": {1, 4, 2, 2}}
	split(g, &Node{Op: "Split", Inputs: []string{"x", "parts"}, Outputs: []string{"a", "b"}, Attrs: []*Attr{{Name: "axis", Type: Int, I: 1}}}, known)
	if diff := cmp.Diff([]int64{1, 3, 2, 2}, known["b"]); diff != "" {
		t.Error(diff)
	}
}
