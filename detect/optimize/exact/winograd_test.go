package exact

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/internal/testkit"
	"sightline/kernels"
)

// What Winograd's filtering computes is what the convolution does but for rounding,
// at sizes that are no multiple of its tile as well.
func TestWinogradComputesTheSame(t *testing.T) {
	testkit.Dep(t, "onnxruntime/lib")
	for _, shape := range []onnx.Shape{{Width: 8, Height: 8}, {Width: 7, Height: 5}, {Width: 9, Height: 6}, {Width: 3, Height: 7}, {Width: 5, Height: 1}} {
		rng := rand.New(rand.NewPCG(uint64(shape.Height), 5))
		b := &graphtest.Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rng, At: "x", Channels: 3}
		b.Graph.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 3}, {}, {}}}}
		inputs := []string{"x", b.Constant([]int64{5, 3, 3, 3}, b.Values(5*27))}
		if shape.Height%2 == 0 {
			inputs = append(inputs, b.Constant([]int64{5}, b.Values(5)))
		}
		b.Node("Conv", inputs, graphtest.Ints("pads", 1, 1, 1, 1))
		m := b.Model()
		want := tapped(t, m, shape)
		m.Graph.Nodes = (&filtering{g: m.Graph, conv: m.Graph.Conv(m.Graph.Nodes[0])}).nodes()
		m.Graph.Sweep()
		got := tapped(t, m, shape)
		if len(got) != len(want) || len(m.Graph.Nodes) < 20 {
			t.Fatalf("%v: %d values by %d nodes, want %d", shape, len(got), len(m.Graph.Nodes), len(want))
		}
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 2e-5 {
				t.Fatalf("%v: value %d is %v, want %v", shape, i, got[i], want[i])
			}
		}
	}
}

// tapped is a network's output for a random picture.
func tapped(t *testing.T, m *graph.Model, shape onnx.Shape) []float32 {
	t.Helper()
	in := onnx.Input{Name: "x", Layout: kernels.NCHW, Type: kernels.F32, Order: kernels.RGB, Std: [3]float64{255, 255, 255}, Fit: kernels.LetterboxCenter}
	out := onnx.Value{Name: m.Graph.Outputs[0].Name, Dims: []int64{1, 5, int64(shape.Height), int64(shape.Width)}}
	file := append([]byte{8, 8}, m.Write()...) // with the version of the format
	tap, err := onnx.NewTap([]string{testkit.Dep(t, "onnxruntime/lib")}, file, in, shape, []onnx.Value{out})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	f := graphtest.Noise(64, 48)
	defer f.Release()
	values, err := tap.Look(f)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(values[0])
}

// Only convolutions that it makes faster are taken, and never those that slide
// otherwise.
func TestWinogradWhereItPays(t *testing.T) {
	for name, c := range map[string]struct {
		channels, side int64
		attrs          []*graph.Attr
		want           int
	}{
		"large":        {64, 40, []*graph.Attr{graphtest.Ints("pads", 1, 1, 1, 1)}, 1},
		"few channels": {8, 40, []*graph.Attr{graphtest.Ints("pads", 1, 1, 1, 1)}, 0},
		"tiny":         {64, 5, []*graph.Attr{graphtest.Ints("pads", 1, 1, 1, 1)}, 0},
		"steps of two": {64, 40, []*graph.Attr{graphtest.Ints("pads", 1, 1, 1, 1), graphtest.Ints("strides", 2, 2)}, 0},
		"no rim":       {64, 40, nil, 0},
		"dilated":      {64, 40, []*graph.Attr{graphtest.Ints("pads", 1, 1, 1, 1), graphtest.Ints("dilations", 2, 2)}, 0},
	} {
		b := graphtest.New(c.channels)
		b.Node("Conv", []string{"x", b.Constant([]int64{c.channels, c.channels, 3, 3}, b.Values(int(c.channels*c.channels*9)))}, c.attrs...)
		m := b.Model()
		if n, saved := Winograd(m, m.Graph.Shapes(int(c.side), int(c.side))); n != c.want || (saved > 0) != (c.want > 0) {
			t.Errorf("%s: %d, %d multiply-adds saved", name, n, saved)
		}
	}
}
