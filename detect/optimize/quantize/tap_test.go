package quantize

import (
	"slices"
	"strings"
	"testing"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/internal/testkit"
	"sightline/kernels"
)

// The network's input itself is seen as any other value is, and what is asked for twice
// is seen twice.
func TestTapSeesInputsAndTwice(t *testing.T) {
	lib := testkit.Dep(t, "onnxruntime/lib")
	b := graphtest.Begin(6, 6)
	first := b.Layer("images", 3, 4, 1, 1, 1)
	b.Layer(first, 4, 2, 1, 1, 1)
	m := b.File(t, []int64{1, 2, graphtest.Pixels, graphtest.Pixels})
	before := m.Write()
	in := onnx.Input{Name: "images", Layout: kernels.NCHW, Type: kernels.F32, Order: kernels.RGB, Std: [3]float64{255, 255, 255}, Fit: kernels.LetterboxCenter}
	shape := onnx.Shape{Width: graphtest.Pixels, Height: graphtest.Pixels}
	picture := graphtest.Noise(graphtest.Pixels, graphtest.Pixels)
	defer picture.Release()
	images, inner := onnx.Value{Name: "images", Dims: []int64{1, 3, graphtest.Pixels, graphtest.Pixels}}, onnx.Value{Name: first, Dims: []int64{1, 4, graphtest.Pixels, graphtest.Pixels}}
	tap, err := Pictures{Input: in, Shape: shape, LibDirs: []string{lib}}.tap(m, []onnx.Value{images, inner, images, inner})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	seen, err := tap.Look(picture)
	if err != nil {
		t.Fatal(err)
	}
	if low, high := slices.Min(seen[0]), slices.Max(seen[0]); low < 0 || high > 1 || high < .5 {
		t.Errorf("the picture is from %v to %v", low, high)
	}
	if slices.Max(seen[1]) == 0 || !slices.Equal(seen[0], seen[2]) || !slices.Equal(seen[1], seen[3]) {
		t.Error("what was asked for twice differs")
	}
	if !slices.Equal(m.Write(), before) {
		t.Error("the network was changed")
	}
	for _, values := range [][]onnx.Value{{images}, {inner, inner}} { // without copies
		if tap, err := onnx.NewTap([]string{lib}, before, in, shape, values); err == nil || !strings.Contains(err.Error(), "would leave it empty") {
			tap.Close()
			t.Errorf("%v: %v", values, err)
		}
	}
}
