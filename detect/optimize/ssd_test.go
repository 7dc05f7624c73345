package optimize

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/detect/optimize/prune"
	"sightline/internal/testkit"
)

// mosaic is a gray picture of random blocks, twice as wide as what the network takes.
func mosaic(seed uint64) *decode.Frame {
	const width, height, side = 320, 160, 8
	rng := rand.New(rand.NewPCG(seed, 9))
	f := decode.Frame{Width: width, Height: height, Format: decode.I420, Memory: decode.Host}
	blocks := make([]byte, width*height/side/side)
	for i := range blocks {
		blocks[i] = byte(16 + rng.IntN(220))
	}
	luma := make([]byte, width*height)
	for i := range luma {
		luma[i] = blocks[i/width/side*(width/side)+i%width/side]
	}
	gray := slices.Repeat([]byte{128}, width*height/4)
	for i, data := range [][]byte{luma, gray, gray} {
		f.Planes[i] = decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(data)), Stride: width / min(1+i, 2)}
	}
	return decode.NewFrame(f, func() {})
}

// ssd makes a MobileNet-SSD with seeded random weights, and returns its path.
func ssd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssd.onnx")
	python(t, filepath.Join(testkit.Root(t), "detect/onnx/testdata/ssd.py"), "make", path)
	return path
}

func python(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Dep(t, "venv/bin/python"), args...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A network of depthwise convolutions with two outputs that are no feature maps finds
// the same boxes once simplified, nearly the same in 8-bit integers, and what is written
// is still of its family.
func TestMobileNetSSD(t *testing.T) {
	libs := []string{testkit.Dep(t, "onnxruntime/lib"), testkit.Dep(t, "openvino/lib")}
	var frames []*decode.Frame
	for i := range uint64(12) {
		frames = append(frames, mosaic(i))
	}
	defer Release(frames)
	c := Config{Model: ssd(t), Classes: []string{"person", "dog"}, Least: .6, Agreement: .8, LibDirs: libs, Fit: true}
	for name, with := range map[string]struct {
		mode    string
		engines []string
		steps   []string
	}{
		"exact":                    {ExactMode, []string{"onnxruntime", "openvino"}, []string{"affine"}},
		"integers on ONNX Runtime": {GeneralMode, []string{"onnxruntime"}, []string{"affine", "channels", "integers"}},
		"integers on OpenVINO":     {GeneralMode, []string{"openvino"}, []string{"affine", "channels", "integers"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			c.Mode, c.Engines, c.Out = with.mode, with.engines, filepath.Join(t.TempDir(), "out.onnx")
			r, err := Run(t.Context(), c, frames, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatalf("%v: %+v", err, r)
			}
			var steps []string
			for _, s := range r.Steps {
				steps = append(steps, s.Name)
			}
			if !slices.Equal(steps, with.steps) || r.Engines[0].Agreement.Boxes < 20 || r.Engines[0].Input != [2]string{"160x160", "160x160"} {
				t.Errorf("steps %v, %+v", steps, r.Engines)
			}
			spec, err := onnx.ReadSpec(c.Out)
			if err != nil || spec.Family != "ssd" || len(spec.Labels) != 3 || spec.Quantized != (with.mode == GeneralMode) || !spec.Input.Fixed {
				t.Errorf("what was made: %+v, %v", spec, err)
			}
		})
	}
}

// Half of the channels of its body may go, together with those of the depthwise
// convolutions, none of those that its priors need; onnx's checker accepts what is left.
func TestMobileNetSSDStaysValid(t *testing.T) {
	m := readGraph(t, ssd(t))
	if _, err := simplified(m, nil); err != nil {
		t.Fatal(err)
	}
	n := prune.Trace(m.Graph, m.Graph.Shapes(graphtest.Pixels, graphtest.Pixels))
	without := prune.Set{}
	for _, g := range n.Groups {
		for _, class := range g.Classes[:len(g.Classes)/2] {
			without[class] = true
		}
	}
	left, err := n.Apply(without, nil, true)
	if err != nil || n.MACs(without) > n.MACs(nil)*4/10 {
		t.Fatalf("%d of %d multiply-adds are left, %v: %s", n.MACs(without), n.MACs(nil), err, n.Describe())
	}
	m.Graph = left
	path, luma := filepath.Join(t.TempDir(), "left.onnx"), filepath.Join(t.TempDir(), "luma")
	if err := os.WriteFile(path, m.Write(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(luma, make([]byte, graphtest.Pixels*graphtest.Pixels), 0o600); err != nil {
		t.Fatal(err)
	}
	python(t, filepath.Join(testkit.Root(t), "detect/onnx/testdata/ssd.py"), "look", path, luma, "160", "160", "0.1") // checks and runs it
}
