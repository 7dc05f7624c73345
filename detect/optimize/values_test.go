package optimize

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/internal/testkit"
)

// classifier is a network whose outputs are no family's.
func classifier(t *testing.T) string {
	b := graphtest.New(3)
	b.Graph.Inputs[0].Dims = graph.Fixed([]int64{1, 3, 32, 32})
	for range 2 {
		b.Conv()
		b.Normalization()
		b.Node("Relu", []string{b.At})
	}
	b.Node("GlobalAveragePool", []string{b.At})
	m := b.Model()
	b.Graph.Outputs[0].Dims = []graph.Dim{{Name: "N"}, {Size: int64(b.Channels)}, {Size: 1}, {Size: 1}}
	return modelFile(t, m)
}

func modelFile(t *testing.T, m *graph.Model) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "network.onnx")
	if err := os.WriteFile(path, append([]byte{8, 8}, m.Write()...), 0o600); err != nil { // with the version of the format
		t.Fatal(err)
	}
	return path
}

// A network whose outputs nobody here understands is simplified too, and its values are
// what they were; one that computes something else is not written.
func TestUnreadOutputs(t *testing.T) {
	c := Config{
		Model: classifier(t), Out: filepath.Join(t.TempDir(), "out.onnx"), Mode: ExactMode, Engines: []string{"onnxruntime"},
		LibDirs: []string{testkit.Dep(t, "onnxruntime/lib")},
	}
	frames := []*decode.Frame{mosaic(1), mosaic(2)}
	defer Release(frames)
	log := slog.New(slog.DiscardHandler)
	r, err := Run(t.Context(), c, frames, log)
	if err != nil || !r.Passed || len(r.Steps) != 1 || r.Steps[0].Name != "affine" || r.After.Nodes != r.Before.Nodes-2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if v := r.Engines[0].Values; v.Count < 2 || v.Off > valueTolerance || !isThere(c.Out) {
		t.Errorf("%+v", v)
	}
	if p, err := ReadProvenance(c.Out); err != nil || p.Figures.Recall != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	for says, change := range map[string]func(*Config){
		"only mode exact": func(c *Config) { c.Mode = GeneralMode },
		"leave them out":  func(c *Config) { c.Classes = []string{"cat"} },
		"leave fitting":   func(c *Config) { c.Fit = true },
		"leave ground":    func(c *Config) { c.Check = func(context.Context, string, *Report) error { return nil } },
		"on openvino":     func(c *Config) { c.Engines = []string{"openvino"} },
	} {
		c := c
		change(&c)
		if r, err := Run(t.Context(), c, slices.Repeat(frames, 6), log); r != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	silent := c
	b := graphtest.New(3)
	b.Graph.Inputs[0].Dims = graph.Fixed([]int64{1, 3, 32, 32})
	b.Node("Mul", []string{"x", b.Constant(nil, []float32{0})})
	m := b.Model()
	b.Graph.Outputs[0].Dims = b.Graph.Inputs[0].Dims
	silent.Model, silent.DryRun = modelFile(t, m), true
	if r, err := Run(t.Context(), silent, frames, log); !errors.Is(err, ErrBudget) || r.Passed || !strings.Contains(r.Reason, "nothing is proved") {
		t.Errorf("of zeros alone: %+v, %v", r, err)
	}
	v := Values{}
	v.add([2][][]float32{{{1, 4, float32(math.Inf(1))}}, {{1, 4.04, float32(math.Inf(1))}}})
	if math.Abs(v.Off-.01) > 1e-5 || v.Count != 3 {
		t.Errorf("%+v", v)
	}
	if v.add([2][][]float32{{{1}}, {{float32(math.NaN())}}}); v.Off < 1e300 {
		t.Errorf("what is no number is off by %v", v.Off)
	}
}

// What cannot run is refused with the operator and its node, and nothing is written,
// whether what it finds could be read or not.
func TestOperatorsNamed(t *testing.T) {
	frames := []*decode.Frame{mosaic(1)}
	defer Release(frames)
	libs := []string{testkit.Dep(t, "onnxruntime/lib"), testkit.Dep(t, "openvino/lib")}
	custom, plain := `no operator acme.ops.FancyPool, which node "fancy_7"`, `no operator FancyPool, which node "fancy_7"`
	for _, n := range []struct{ kind, family, engine, says string }{
		{"custom", "none", "onnxruntime", custom},
		{"custom", "yolov8", "openvino", custom},
		{"plain", "none", "onnxruntime", plain},
		{"plain", "yolov8", "onnxruntime", plain},
		{"plain", "yolov8", "openvino", plain},
		{"double", "none", "onnxruntime", `no operator Conv of the version and the kind of numbers that node "late"`},
		{"If", "none", "onnxruntime", `node "if_3" (If): attribute "`},
		{"Loop", "yolov8", "onnxruntime", `node "loop_3" (Loop): attribute "body" is a graph`},
	} {
		path := filepath.Join(t.TempDir(), "network.onnx")
		python(t, "testdata/operators.py", n.kind, n.family, path)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Model: path, Out: filepath.Join(t.TempDir(), "out.onnx"), Mode: ExactMode, Engines: []string{n.engine}, LibDirs: libs}
		if _, err = Run(t.Context(), c, frames, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), n.says) || isThere(c.Out) {
			t.Errorf("%+v: %v", n, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("%+v: the network itself was changed: %v", n, err)
		}
	}
	refused := errors.New("Check 'false' failed at report.cpp:151:\n-- No conversion rule found for operations: Flip-17")
	b := graphtest.New(3)
	b.Node("Flip", []string{"x"})
	if err := blame(refused, modelFile(t, b.Model())); !strings.Contains(err.Error(), `no operator Flip, which node "v1"`) {
		t.Errorf("got %v", err)
	}
}
