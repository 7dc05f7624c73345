package optimize

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/detect/optimize/quantize"
	"sightline/internal/testkit"
)

// fragile is a network with one convolution that bytes ruin: a weight on nothing is
// so large that the others are rounded away.
func fragile(t *testing.T) (m *graph.Model, conv string) {
	t.Helper()
	m = graphtest.YOLOv8(t)
	m.SetMeta("names", `{0: 'person', 1: 'car', 2: 'bus'}`)
	before := func(n *graph.Node) *graph.Node { // the convolution, with SiLU between
		return m.Graph.Maker(m.Graph.Maker(n.Inputs[0]).Inputs[0])
	}
	head := m.Graph.Nodes[slices.IndexFunc(m.Graph.Nodes, func(n *graph.Node) bool { // of classes, where most boxes are
		c := m.Graph.Conv(n)
		return c != nil && c.Out == 3
	})]
	user := m.Graph.Conv(before(head))
	maker := m.Graph.Conv(before(user.Node))
	weights, bias := maker.Weights.Float32s(), maker.Bias(m.Graph)
	clear(weights[:len(weights)/maker.Out])
	bias[0] = 0 // which SiLU leaves
	maker.Set(m.Graph, maker.Weights.Dims, weights, bias)
	weights = user.Weights.Float32s()
	taps := len(weights) / user.Out / user.In
	for k := range user.Out {
		weights[k*user.In*taps] = 1000
	}
	user.Set(m.Graph, user.Weights.Dims, weights, user.Bias(m.Graph))
	return m, user.Node.Outputs[0]
}

// What bytes ruin stays in floats, and nothing else does; the same pictures lead to the
// same file.
func TestFragileStaysInFloats(t *testing.T) {
	m, conv := fragile(t)
	path := filepath.Join(t.TempDir(), "fragile.onnx")
	if err := os.WriteFile(path, m.Write(), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, err := onnx.ReadSpec(path)
	if err != nil {
		t.Fatal(err)
	}
	lib := testkit.Dep(t, "onnxruntime/lib")
	c := Config{Model: path, Mode: GeneralMode, Engines: []string{plainEngine}, LibDirs: []string{lib}, Least: .5, Agreement: .75}
	var frames []*decode.Frame
	for i := range leastSplit {
		frames = append(frames, graphtest.Noise(160+8*i, 160))
	}
	defer Release(frames)
	make := func() (*lowering, *lowered) {
		l, err := newLowering(t.Context(), c, m, spec.Input, spec.Input.Base, divide(frames))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.called(slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		made, err := l.fewest(0, c.Agreement)
		if err != nil {
			t.Fatal(err)
		}
		return l, made
	}
	l, made := make()
	t.Logf("%+v kept %v, ranked %v, tried %q", made.agree, made.kept, l.ranked, l.tried)
	if !slices.Equal(made.kept, []string{conv}) || !strings.Contains(made.step.Detail, " and "+conv+" compute") {
		t.Errorf("%s is fragile; in floats: %s", conv, made.step.Detail)
	}
	if whole := quantize.Marked(made.model.Graph); whole[conv] || len(whole) != len(l.convs)-1 {
		t.Errorf("in integers: %v", whole)
	}
	if made.agree.Boxes < leastBoxes || min(made.agree.Recall, made.agree.Precision) < c.Agreement || len(l.tried) == 0 {
		t.Errorf("%+v, tried %q", made.agree, l.tried)
	}
	if _, again := make(); !bytes.Equal(again.model.Write(), made.model.Write()) {
		t.Error("another file the second time")
	}
}
