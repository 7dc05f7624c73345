package optimize

import (
	"slices"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/exact"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/detect/optimize/quantize"
	"sightline/internal/testkit"
	"sightline/kernels"
)

// Networks of other families compute the same once simplified and filtered by
// Winograd's way, and nearly the same in 8-bit integers in both forms.
func TestOtherFamiliesHold(t *testing.T) {
	lib := testkit.Dep(t, "onnxruntime/lib")
	in := onnx.Input{Name: "images", Layout: kernels.NCHW, Type: kernels.F32, Order: kernels.RGB, Std: [3]float64{255, 255, 255}, Fit: kernels.LetterboxCenter}
	shape := onnx.Shape{Width: graphtest.Pixels, Height: graphtest.Pixels}
	frames := []*decode.Frame{graphtest.Noise(200, 160), graphtest.Noise(160, 200)}
	defer Release(frames)
	for name, c := range map[string]struct {
		make  func(*testing.T) *graph.Model
		steps []string
		fast  int // convolutions that are filtered by Winograd's way
	}{
		"yolov8":    {graphtest.YOLOv8, nil, 8},
		"separable": {graphtest.Separable, []string{"affine"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.make(t)
			look := func(m *graph.Model) []float32 {
				out := m.Graph.Outputs[0]
				var dims []int64
				for _, d := range out.Dims {
					dims = append(dims, d.Size)
				}
				tap, err := onnx.NewTap([]string{lib}, m.Write(), in, shape, []onnx.Value{{Name: out.Name, Dims: dims}})
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
			want := look(m)
			steps, err := simplified(m, nil)
			var names []string
			for _, s := range steps {
				names = append(names, s.Name)
			}
			if err != nil || !slices.Equal(names, c.steps) {
				t.Errorf("steps %v, %v, want %v", names, err, c.steps)
			}
			if off := graphtest.Far(want, look(m)); off > 1e-4 {
				t.Errorf("simplified, it is off by %v", off)
			}
			for _, engine := range []string{"onnxruntime", "openvino"} {
				made, _, err := integers(t.Context(), Config{Engines: []string{engine}, LibDirs: []string{lib}}, m, in, shape, frames)
				if err != nil {
					t.Fatal(err)
				}
				if off := graphtest.Far(want, look(made)); off > .04 || off == 0 {
					t.Errorf("in integers for %s it is off by %v", engine, off)
				}
				if n := len(quantize.Marked(made.Graph)); n < 8 {
					t.Errorf("for %s %d convolutions compute in integers", engine, n)
				}
			}
			n, _ := exact.Winograd(m, m.Graph.Shapes(8*graphtest.Pixels, 8*graphtest.Pixels)) // as if it were for larger pictures, where it pays
			if off := graphtest.Far(want, look(m)); off > 1e-4 || n < c.fast {
				t.Errorf("with %d convolutions filtered it is off by %v", n, off)
			}
		})
	}
}
