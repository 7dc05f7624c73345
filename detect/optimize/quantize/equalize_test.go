package quantize

import (
	"slices"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/internal/testkit"
	"sightline/kernels"
)

// Channels of very different size, some of which are joined and go through a depthwise
// convolution, come nearer to each other, and the network computes the same.
func TestEqualizedIsTheSame(t *testing.T) {
	lib := testkit.Dep(t, "onnxruntime/lib")
	b := graphtest.Begin(4, 4)
	leaky := func(x string) string {
		return b.Op("LeakyRelu", []string{x}, &graph.Attr{Name: "alpha", Type: graph.Float, F: .1})
	}
	first := b.Layer("images", 3, 8, 3, 2, 1)
	joined := leaky(first)
	deep := b.Layer(joined, 8, 8, 3, 1, 8)
	b.Op("Concat", []string{joined, leaky(deep)}, graphtest.Axis(1))
	b.Layer(b.At, 16, 4, 1, 1, 1)
	c := b.Graph.Conv(b.Graph.Maker(first))
	weights, bias := c.Weights.Float32s(), c.Bias(b.Graph)
	for k, small := range []float32{1, .01, 30, .3, 1, 5, .002, 1} {
		for i := range len(weights) / c.Out {
			weights[k*len(weights)/c.Out+i] *= small
		}
		bias[k] *= small
	}
	c.Set(b.Graph, c.Weights.Dims, weights, bias)
	m := b.File(t, []int64{1, 4, 80, 80})

	in := onnx.Input{Name: "images", Layout: kernels.NCHW, Type: kernels.F32, Order: kernels.RGB, Std: [3]float64{255, 255, 255}, Fit: kernels.LetterboxCenter}
	shape := onnx.Shape{Width: graphtest.Pixels, Height: graphtest.Pixels}
	frames := []*decode.Frame{graphtest.Noise(200, 160)}
	defer frames[0].Release()
	pictures := Pictures{Input: in, Shape: shape, Frames: frames, LibDirs: []string{lib}}
	look := func(value string, channels int64) []float32 {
		tap, err := pictures.tap(m, []onnx.Value{{Name: value, Dims: []int64{1, channels, 80, 80}}})
		if err != nil {
			t.Fatal(err)
		}
		defer tap.Close()
		v, err := tap.Look(frames[0])
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(v[0])
	}
	unlike := func(value string) float64 { // the largest channel, in smallest ones
		e := &sizes{g: m.Graph, maker: m.Graph.Maker(value), most: make([]float64, 8)}
		e.widen(look(value, 8))
		return slices.Max(e.most) / slices.Min(e.most)
	}
	out := m.Graph.Outputs[0].Name
	want, before := look(out, 4), [2]float64{unlike(first), unlike(deep)}
	n, err := pictures.Equalize(t.Context(), m, func(n *graph.Node) bool { return MakesOutput(m.Graph, n) })
	if err != nil || n != 2 {
		t.Fatalf("%d convolutions, %v", n, err)
	}
	if off := graphtest.Far(want, look(out, 4)); off > 1e-5 {
		t.Errorf("off by %v", off)
	}
	after := [2]float64{unlike(first), unlike(deep)}
	if before[0] < 1000 || after[0] > before[0]/50 || before[1] < 200 || after[1] > before[1]/50 {
		t.Errorf("channels were unlike by %v, are by %v", before, after)
	}
}
