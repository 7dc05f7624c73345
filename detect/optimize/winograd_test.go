package optimize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
	"sightline/kernels"
)

// What Winograd's filtering computes is what the convolution does but for rounding,
// at sizes that are no multiple of its tile as well.
func TestWinogradComputesTheSame(t *testing.T) {
	testkit.Dep(t, "onnxruntime/lib")
	for _, shape := range []onnx.Shape{{Width: 8, Height: 8}, {Width: 7, Height: 5}, {Width: 9, Height: 6}, {Width: 3, Height: 7}, {Width: 5, Height: 1}} {
		rng := rand.New(rand.NewPCG(uint64(shape.Height), 5))
		b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rng, at: "x", channels: 3}
		b.g.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 3}, {}, {}}}}
		inputs := []string{"x", b.constant([]int64{5, 3, 3, 3}, b.values(5*27))}
		if shape.Height%2 == 0 {
			inputs = append(inputs, b.constant([]int64{5}, b.values(5)))
		}
		b.node("Conv", inputs, ints("pads", 1, 1, 1, 1))
		m := b.ends()
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
	f := noise(64, 48)
	defer f.Release()
	values, err := tap.Look(f)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(values[0])
}

// noise is a picture of seeded noise.
func noise(width, height int) *decode.Frame {
	rng := rand.New(rand.NewPCG(9, 9))
	f := decode.Frame{Width: width, Height: height, Format: decode.I420, Memory: decode.Host}
	for i := range f.Planes {
		w, h := width, height
		if i > 0 {
			w, h = (width+1)/2, (height+1)/2
		}
		data := make([]byte, w*h)
		for k := range data {
			data[k] = byte(rng.Uint32())
		}
		f.Planes[i] = decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(data)), Stride: w}
	}
	return decode.NewFrame(f, func() {})
}

// Only convolutions that it makes faster are taken, and never those that slide
// otherwise.
func TestWinogradWhereItPays(t *testing.T) {
	for name, c := range map[string]struct {
		channels, side int64
		attrs          []*graph.Attr
		want           int
	}{
		"large":        {64, 40, []*graph.Attr{ints("pads", 1, 1, 1, 1)}, 1},
		"few channels": {8, 40, []*graph.Attr{ints("pads", 1, 1, 1, 1)}, 0},
		"tiny":         {64, 5, []*graph.Attr{ints("pads", 1, 1, 1, 1)}, 0},
		"steps of two": {64, 40, []*graph.Attr{ints("pads", 1, 1, 1, 1), ints("strides", 2, 2)}, 0},
		"no rim":       {64, 40, nil, 0},
		"dilated":      {64, 40, []*graph.Attr{ints("pads", 1, 1, 1, 1), ints("dilations", 2, 2)}, 0},
	} {
		b := newBuilder(c.channels)
		b.node("Conv", []string{"x", b.constant([]int64{c.channels, c.channels, 3, 3}, b.values(int(c.channels*c.channels*9)))}, c.attrs...)
		m := b.ends()
		if n, saved := winograd(m, m.Graph.Shapes(int(c.side), int(c.side))); n != c.want || (saved > 0) != (c.want > 0) {
			t.Errorf("%s: %d, %d multiply-adds saved", name, n, saved)
		}
	}
}

// What another engine will run, or more than one, is left as it is.
func TestWinogradForItsEngineAlone(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   bool
	}{
		{Config{Engines: []string{"onnxruntime"}}, true},
		{Config{Engines: []string{"onnxruntime"}, Plain: true}, false},
		{Config{Engines: []string{"openvino"}}, false},
		{Config{Engines: []string{"openvino", "onnxruntime"}}, false},
	} {
		if got := lowers(c.config); got != c.want {
			t.Errorf("%+v: %t", c.config, got)
		}
	}
}
