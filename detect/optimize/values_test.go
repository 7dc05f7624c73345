package optimize

import (
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
	"sightline/internal/testkit"
)

// classifier is a network whose outputs are no family's.
func classifier(t *testing.T) string {
	b := newBuilder(3)
	b.g.Inputs[0].Dims = fixed([]int64{1, 3, 32, 32})
	for range 2 {
		b.conv()
		b.normalization()
		b.node("Relu", []string{b.at})
	}
	b.node("GlobalAveragePool", []string{b.at})
	m := b.ends()
	b.g.Outputs[0].Dims = []graph.Dim{{Name: "N"}, {Size: int64(b.channels)}, {Size: 1}, {Size: 1}}
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
	} {
		c := c
		change(&c)
		if r, err := Run(t.Context(), c, slices.Repeat(frames, 6), log); r != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
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

// What cannot run is refused with the operator and its node, and nothing is written.
func TestOperatorsNamed(t *testing.T) {
	const script = `
import sys, onnx
from onnx import helper, TensorProto, numpy_helper
import numpy
kind, path = sys.argv[1:]
def branch(name):
    return helper.make_graph([helper.make_node("Identity", ["a"], [name])], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
last = {"custom": lambda: helper.make_node("FancyPool", ["a"], ["b"], name="fancy_7", domain="acme.ops"),
        "plain": lambda: helper.make_node("FancyPool", ["a"], ["b"], name="fancy_7"),
        "If": lambda: helper.make_node("If", ["yes"], ["b"], name="if_3", then_branch=branch("c"), else_branch=branch("d"))}[kind]()
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["a"]), last], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
    [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 3, 32, 32])], [numpy_helper.from_array(numpy.array(True), "yes")])
onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("acme.ops", 1)]), path)`
	frames := []*decode.Frame{mosaic(1)}
	defer Release(frames)
	libs := []string{testkit.Dep(t, "onnxruntime/lib"), testkit.Dep(t, "openvino/lib")}
	for kind, says := range map[string]string{
		"custom": `no operator acme.ops.FancyPool, which node "fancy_7"`, "plain": `no operator FancyPool, which node "fancy_7"`,
		"If": `node "if_3" (If): attribute "else_branch" is a graph`,
	} {
		path := filepath.Join(t.TempDir(), "network.onnx")
		python(t, "-c", script, kind, path)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, engine := range []string{"onnxruntime", "openvino"} {
			c := Config{Model: path, Out: filepath.Join(t.TempDir(), "out.onnx"), Mode: ExactMode, Engines: []string{engine}, LibDirs: libs}
			_, err = Run(t.Context(), c, frames, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), says) && !strings.Contains(err.Error(), strings.Replace(says, "else", "then", 1)) || isThere(c.Out) {
				t.Errorf("%s: %v", kind, err)
			}
			_, err = NewLooker(LookerConfig{Model: path, Engine: engine, LibDirs: libs}, frames[0], slog.New(slog.DiscardHandler))
			if err == nil {
				t.Errorf("%s: %s runs it", kind, engine)
			}
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("%s: the network itself was changed: %v", kind, err)
		}
	}
	refused := errors.New("Check 'false' failed at report.cpp:151:\n-- No conversion rule found for operations: Flip-17")
	b := newBuilder(3)
	b.node("Flip", []string{"x"})
	if err := blame(refused, modelFile(t, b.ends())); !strings.Contains(err.Error(), `no operator Flip, which node "v1"`) {
		t.Errorf("got %v", err)
	}
}
