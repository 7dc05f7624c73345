package optimize

import (
	"log/slog"
	"math"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
)

// What would not compute the same stays.
func TestWhatMustStay(t *testing.T) {
	for name, make := range map[string]func() *graph.Model{
		"several channels of one": func() *graph.Model {
			b := graphtest.New(1)
			b.Node("Mul", []string{"x", b.Constant([]int64{1, 3, 1, 1}, []float32{1, 2, 3})})
			b.Channels = 3
			b.Node("Conv", []string{b.At, b.Constant([]int64{1, 3, 1, 1}, b.Values(3))})
			return b.Model()
		},
		"a mask that leaves": func() *graph.Model {
			b := graphtest.New(2)
			b.Node("Dropout", []string{"x"})
			b.Graph.Nodes[0].Outputs = append(b.Graph.Nodes[0].Outputs, "mask")
			b.Conv()
			m := b.Model()
			b.Graph.Outputs = append(b.Graph.Outputs, graph.Port{Name: "mask", Type: graph.Bool})
			return m
		},
		"windows that begin in the padding": func() *graph.Model {
			b := graphtest.New(2)
			lowest(b)
			b.Node("MaxPool", []string{b.At}, graphtest.Ints("kernel_shape", 3, 3), &graph.Attr{Name: "ceil_mode", Type: graph.Int, I: 1})
			return b.Model()
		},
		"padding as wide as the window": func() *graph.Model {
			b := graphtest.New(2)
			lowest(b)
			b.Node("MaxPool", []string{b.At}, graphtest.Ints("kernel_shape", 1, 1))
			return b.Model()
		},
	} {
		m := make()
		had := len(m.Graph.Nodes)
		if steps, err := Exact(m, nil); err != nil || len(steps) != 0 || len(m.Graph.Nodes) != had {
			t.Errorf("%s: %v, %v: %d of %d nodes", name, steps, err, len(m.Graph.Nodes), had)
		}
	}
}

// lowest pads by one with what is less than anything.
func lowest(b *graphtest.Builder) {
	b.Graph.Tensors["rim"] = graph.NewInt64("rim", 0, 0, 1, 1, 0, 0, 1, 1)
	b.Node("Pad", []string{b.At, "rim", b.Constant(nil, []float32{float32(math.Inf(-1))})})
}

// Networks that lack what their operators want are left as they are.
func TestNodesWithoutInputs(t *testing.T) {
	for _, op := range []string{"Transpose", "Concat", "Conv", "Split", "Mul", "Identity", "Pad", "Reshape", "BatchNormalization", "Resize", "MaxPool"} {
		g := &graph.Graph{Tensors: map[string]*graph.Tensor{"w": graph.NewFloat32("w", []int64{1, 1, 1, 1}, []float32{1})}}
		g.Nodes = []*graph.Node{{Op: op, Outputs: []string{"cls8"}, Attrs: []*graph.Attr{graphtest.Ints("perm", 0, 2, 1)}}, {Op: "Conv", Inputs: []string{"", "w"}, Outputs: []string{"y"}}}
		g.Outputs = []graph.Port{{Name: "cls8"}, {Name: "y"}}
		if _, err := Exact(&graph.Model{Graph: g}, nil); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		planFor(g, Everywhere, g.Shapes(64, 64), func(*graph.Node) bool { return false })
	}
}

// Heads that have fewer rows than there are names are refused.
func TestTooManyNames(t *testing.T) {
	m := graphtest.NanoDet()
	m.SetMeta("names", `["person"`+strings.Repeat(`,"car"`, 20)+`]`)
	if _, err := Exact(m, []string{"car"}); err == nil || !strings.Contains(err.Error(), "18 rows") {
		t.Errorf("got %v", err)
	}
}

// Large weights are not kept once for each of many scales behind them.
func TestFoldedWeightsGo(t *testing.T) {
	b := graphtest.New(2)
	b.Conv()
	for range 20 {
		b.Node("Mul", []string{b.At, b.Constant(nil, []float32{1.5})})
	}
	m := b.Model()
	affine(m.Graph)
	large := 0
	for _, w := range m.Graph.Tensors {
		if len(w.Dims) == 4 {
			large++
		}
	}
	if large != 1 || len(m.Graph.Nodes) != 1 {
		t.Errorf("%d weights of %d nodes", large, len(m.Graph.Nodes))
	}
}

// A convolution of next to no weights keeps its bias, which 32 bits in steps of the
// weights' size would not hold.
func TestBiasOutweighsWeights(t *testing.T) {
	b := graphtest.New(1)
	b.Node("Conv", []string{"x", b.Constant([]int64{2, 1, 1, 1}, []float32{0, 1e-9}), b.Constant([]int64{2}, []float32{.5, -3})})
	b.Channels = 2
	b.Node("Relu", []string{b.At})
	b.Conv()
	in := graphtest.Picture{C: 1, H: 4, W: 4, V: b.Float64s(16)}
	m := b.Model()
	first := b.Graph.Nodes[0].Outputs[0]
	p := planFor(b.Graph, Everywhere, b.Graph.Shapes(4, 4), func(*graph.Node) bool { return false })
	spans := map[string]span{}
	for _, value := range p.values {
		spans[value] = spanOf(t, b.Graph, value, in)
	}
	quantize(b.Graph, p, spans)
	cut := *m.Graph
	cut.Outputs = []graph.Port{{Name: first}}
	got := graphtest.Evaluate(t, &cut, in)
	if math.Abs(got.At(0, 1, 1)-.5) > .01 || math.Abs(got.At(1, 1, 1)+3) > .01 {
		t.Errorf("biases are %v and %v, want .5 and -3", got.At(0, 1, 1), got.At(1, 1, 1))
	}
}

// What computes scores and places from the last convolution's values stays in floats
// in both forms, and so does what is no float.
func TestTailsStayInFloats(t *testing.T) {
	b := graphtest.New(2)
	b.Graph.Nodes = append(b.Graph.Nodes, &graph.Node{Op: "Cast", Inputs: []string{"x"}, Outputs: []string{"whole"}, Attrs: []*graph.Attr{{Name: "to", Type: graph.Int, I: 6}}},
		&graph.Node{Op: "Add", Inputs: []string{"whole", "whole"}, Outputs: []string{"twice"}},
		&graph.Node{Op: "Cast", Inputs: []string{"twice"}, Outputs: []string{"back"}, Attrs: []*graph.Attr{{Name: "to", Type: graph.Int, I: 1}}})
	b.At = "back"
	b.Conv()
	b.Node("Relu", []string{b.At})
	inner := b.At
	b.Conv()
	head := b.At
	b.Node("Sigmoid", []string{head})
	b.Node("Mul", []string{b.At, b.Constant(nil, []float32{8})})
	b.Node("Concat", []string{b.At, head}, &graph.Attr{Name: "axis", Type: graph.Int, I: 1})
	m := b.Model()
	p := planFor(m.Graph, Everywhere, m.Graph.Shapes(8, 8), func(n *graph.Node) bool { return makesOutput(m.Graph, n) })
	// the first convolution's input and output; what feeds the last alone does not gain
	if want := []string{"back", "v1"}; strings.Join(p.values, " ") != strings.Join(want, " ") {
		t.Errorf("in 8 bits are %v, want %v, and %s in floats", p.values, want, inner)
	}
}

func TestIntegersWantNewerOperators(t *testing.T) {
	m := graphtest.New(2).Model()
	m.Opsets[0].Version = 12
	_, _, err := integers(t.Context(), Config{Engines: []string{"onnxruntime"}}, m, onnx.Input{}, onnx.Shape{}, nil)
	if err == nil || !strings.Contains(err.Error(), "want 13 or later") {
		t.Errorf("got %v", err)
	}
}

// Agreement about nothing proves nothing.
func TestNothingSeenIsNoProof(t *testing.T) {
	for _, mode := range []string{ExactMode, GeneralMode} {
		e := EngineReport{Precision: "f32", Agreement: agreement(nil, nil, .4)}
		if fault := e.fault(mode, .5); !strings.Contains(fault, "finds nothing") {
			t.Errorf("%s: %q", mode, fault)
		}
	}
}

// What would compare nothing is refused before anything is made.
func TestNoProofIsRefused(t *testing.T) {
	frames := []*decode.Frame{graphtest.Noise(64, 48)}
	defer Release(frames)
	engines := []string{"onnxruntime"}
	for name, c := range map[string]struct {
		config Config
		frames []*decode.Frame
		says   string
	}{
		"no engine":         {Config{Mode: ExactMode}, frames, "no engine"},
		"no picture":        {Config{Mode: ExactMode, Engines: engines}, nil, "0 pictures"},
		"none held back":    {Config{Mode: GeneralMode, Engines: engines}, frames, "1 pictures"},
		"agreement without": {Config{Mode: ExactMode, Engines: engines, Agreement: math.NaN()}, frames, "NaN is not within"},
	} {
		if r, err := Run(t.Context(), c.config, c.frames, slog.New(slog.DiscardHandler)); r != nil || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was made at a price is not made again: it would say no more where it may be used.
func TestMadeIsNotMadeAgain(t *testing.T) {
	frames := []*decode.Frame{graphtest.Noise(64, 48)}
	defer Release(frames)
	for mode, says := range map[string]string{
		GeneralMode: "made of another network in mode general: optimize that one, whose SHA-256 begins with 0123456789ab", SceneMode: "made of another network in mode scene", ExactMode: "made of another",
	} {
		m := graphtest.NanoDet()
		m.SetMeta(onnx.MadeKey, `{"source":"0123456789abcdef","mode":"`+mode+`"}`)
		c := Config{Mode: ExactMode, Engines: []string{"none"}, DryRun: true, Model: modelFile(t, m)}
		if _, err := Run(t.Context(), c, frames, slog.New(slog.DiscardHandler)); err == nil || (mode != ExactMode) != strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
