package optimize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"sightline/detect/optimize/graph"
)

// builder makes random networks of the things that Exact folds.
type builder struct {
	g        *graph.Graph
	rng      *rand.Rand
	at       string // the value made last
	channels int
	count    int
}

func (b *builder) values(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(b.rng.NormFloat64())
	}
	return out
}

func (b *builder) constant(dims []int64, values []float32) string {
	name := fmt.Sprint("c", len(b.g.Tensors))
	b.g.Tensors[name] = graph.NewFloat32(name, dims, values)
	return name
}

func (b *builder) node(op string, inputs []string, attrs ...*graph.Attr) {
	b.count++
	out := fmt.Sprint("v", b.count)
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Name: out, Op: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs})
	b.at = out
}

func ints(name string, v ...int64) *graph.Attr {
	return &graph.Attr{Name: name, Type: graph.Ints, Is: v}
}

func (b *builder) conv() {
	out, groups := 1+b.rng.IntN(4), 1
	if b.rng.IntN(3) == 0 { // depthwise
		out, groups = b.channels, b.channels
	}
	dims := []int64{int64(out), int64(b.channels / groups), 3, 3}
	inputs := []string{b.at, b.constant(dims, b.values(out*b.channels/groups*9))}
	if b.rng.IntN(2) == 0 {
		inputs = append(inputs, b.constant([]int64{int64(out)}, b.values(out)))
	}
	b.node("Conv", inputs, ints("pads", 1, 1, 1, 1), &graph.Attr{Name: "group", Type: graph.Int, I: int64(groups)})
	b.channels = out
}

func (b *builder) normalization() {
	dims := []int64{int64(b.channels)}
	variance := b.values(b.channels)
	for i, v := range variance {
		variance[i] = v*v + .1
	}
	b.node("BatchNormalization", []string{b.at, b.constant(dims, b.values(b.channels)), b.constant(dims, b.values(b.channels)),
		b.constant(dims, b.values(b.channels)), b.constant(dims, variance)})
}

func (b *builder) arithmetic() {
	op := []string{"Mul", "Div", "Add", "Sub"}[b.rng.IntN(4)]
	n, dims := 1, []int64(nil)
	if b.rng.IntN(2) == 0 {
		n, dims = b.channels, []int64{int64(b.channels), 1, 1}
	}
	v := b.values(n)
	for i := range v {
		v[i] = float32(math.Copysign(math.Abs(float64(v[i]))+.3, float64(v[i])))
	}
	inputs := []string{b.at, b.constant(dims, v)}
	if b.rng.IntN(2) == 0 && (op == "Mul" || op == "Add") {
		inputs[0], inputs[1] = inputs[1], inputs[0]
	}
	b.node(op, inputs)
}

func (b *builder) pad() {
	name := fmt.Sprint("p", b.count)
	b.g.Tensors[name] = graph.NewInt64(name, 0, 0, int64(b.rng.IntN(2)), 1, 0, 0, 1, 0)
	b.node("Pad", []string{b.at, name})
}

// network is a chain of some of them, ended by a convolution.
func network(rng *rand.Rand) *graph.Model {
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rng, at: "x", channels: 2}
	b.g.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 2}, {Size: 5}, {Size: 6}}}}
	for range 3 + rng.IntN(6) {
		[]func(){b.conv, b.conv, b.normalization, b.arithmetic, b.arithmetic, b.pad,
			func() { b.node("Identity", []string{b.at}) }, func() { b.node("Relu", []string{b.at}) }}[rng.IntN(8)]()
	}
	b.conv()
	b.g.Outputs = []graph.Port{{Name: b.at, Type: graph.F32}}
	return &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: b.g}
}

// What networks compute does not change, held against a plain evaluation; over a
// quarter of the nodes is gone.
func TestExactKeepsWhatIsComputed(t *testing.T) {
	left, before := 0, 0
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := network(rng)
		in := picture{2, 5, 6, (&builder{rng: rng}).float64s(60)}
		want := evaluate(t, m.Graph, in)
		before += len(m.Graph.Nodes)
		if _, err := Exact(m, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := graph.Read(m.Write()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := evaluate(t, m.Graph, in)
		left += len(m.Graph.Nodes)
		if got.c != want.c || got.h != want.h || got.w != want.w {
			t.Fatalf("seed %d: %d×%d×%d, want %d×%d×%d", seed, got.c, got.h, got.w, want.c, want.h, want.w)
		}
		most := 1.0
		for _, v := range want.v {
			most = max(most, math.Abs(v))
		}
		for i := range want.v {
			if math.Abs(got.v[i]-want.v[i]) > 1e-5*most {
				t.Fatalf("seed %d: value %d is %v, want %v (largest %v)", seed, i, got.v[i], want.v[i], most)
			}
		}
	}
	if left*100 > before*73 {
		t.Errorf("%d of %d nodes are left", left, before)
	}
}

func (b *builder) float64s(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = b.rng.NormFloat64()
	}
	return out
}

// Weights that two convolutions share are not changed for both.
func TestSharedWeightsStay(t *testing.T) {
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rand.New(rand.NewPCG(1, 2)), at: "x", channels: 2}
	b.g.Inputs = []graph.Port{{Name: "x", Type: graph.F32}}
	w := b.constant([]int64{2, 2, 1, 1}, b.values(4))
	b.node("Conv", []string{"x", w})
	b.node("Mul", []string{b.at, b.constant(nil, []float32{3})})
	b.node("Conv", []string{b.at, w})
	b.g.Outputs = []graph.Port{{Name: b.at, Type: graph.F32}}
	in := picture{2, 1, 1, []float64{1, 2}}
	want := evaluate(t, b.g, in)
	steps, err := Exact(&graph.Model{Graph: b.g}, nil)
	if err != nil || len(steps) == 0 {
		t.Fatal(steps, err)
	}
	for i, v := range evaluate(t, b.g, in).v {
		if math.Abs(v-want.v[i]) > 1e-5 {
			t.Errorf("%v, want %v", v, want.v)
		}
	}
}

// A value that something else uses too, or that leaves the network, is not folded away.
func TestUsedValuesStay(t *testing.T) {
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rand.New(rand.NewPCG(1, 2)), at: "x", channels: 2}
	b.g.Inputs = []graph.Port{{Name: "x", Type: graph.F32}}
	b.conv()
	kept := b.at
	b.node("Mul", []string{kept, b.constant(nil, []float32{3})})
	b.g.Outputs = []graph.Port{{Name: kept, Type: graph.F32}, {Name: b.at, Type: graph.F32}}
	if steps, err := Exact(&graph.Model{Graph: b.g}, nil); err != nil || len(steps) != 0 || len(b.g.Nodes) != 2 {
		t.Errorf("%v, %v: %d nodes", steps, err, len(b.g.Nodes))
	}
}

// nano is a NanoDet head of one stride with two classes and four bins a side.
func nano() *graph.Model {
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rand.New(rand.NewPCG(1, 2)), at: "images", channels: 3}
	g := b.g
	g.Inputs = []graph.Port{{Name: "images", Type: graph.F32, Dims: []graph.Dim{{Name: "N"}, {Size: 3}, {Name: "H"}, {Name: "W"}}}}
	b.node("Conv", []string{"images", b.constant([]int64{18, 3, 8, 8}, b.values(18*3*64)), b.constant([]int64{18}, b.values(18))}, ints("strides", 8, 8))
	for name, v := range map[string][]int64{"sizes": {2, 16}, "cls_shape": {0, 2, -1}, "reg_shape": {0, 16, -1}} {
		g.Tensors[name] = graph.NewInt64(name, v...)
	}
	perm := ints("perm", 0, 2, 1)
	g.Nodes = append(g.Nodes,
		&graph.Node{Op: "Split", Inputs: []string{b.at, "sizes"}, Outputs: []string{"s0", "s1"}, Attrs: []*graph.Attr{{Name: "axis", Type: graph.Int, I: 1}}},
		&graph.Node{Op: "Sigmoid", Inputs: []string{"s0"}, Outputs: []string{"p"}},
		&graph.Node{Op: "Reshape", Inputs: []string{"p", "cls_shape"}, Outputs: []string{"r0"}},
		&graph.Node{Op: "Transpose", Inputs: []string{"r0"}, Outputs: []string{"cls8"}, Attrs: []*graph.Attr{perm}},
		&graph.Node{Op: "Reshape", Inputs: []string{"s1", "reg_shape"}, Outputs: []string{"r1"}},
		&graph.Node{Op: "Transpose", Inputs: []string{"r1"}, Outputs: []string{"reg8"}, Attrs: []*graph.Attr{perm}},
	)
	for i, name := range []string{"cls8", "reg8"} {
		g.Outputs = append(g.Outputs, graph.Port{Name: name, Type: graph.F32, Dims: []graph.Dim{{Name: "N"}, {Name: "cells"}, {Size: []int64{2, 16}[i]}}})
	}
	return &graph.Model{Opsets: []graph.Opset{{Version: 17}}, Metadata: []graph.Entry{{Key: "names", Value: `["person","car"]`}}, Graph: g}
}

func TestTailIsCutAndClassesSliced(t *testing.T) {
	m := nano()
	row := m.Graph.Tensors["c0"].Float32s()[192:384] // of the second class
	if _, err := Exact(m, []string{"car"}); err != nil {
		t.Fatal(err)
	}
	g := m.Graph
	if len(g.Nodes) != 1 || len(g.Outputs) != 1 || g.Outputs[0].Name != "head8" || g.Outputs[0].Dims[1].Size != 17 {
		t.Fatalf("%d nodes, outputs %+v", len(g.Nodes), g.Outputs)
	}
	w := g.Tensors[g.Nodes[0].Inputs[1]]
	if got := w.Float32s(); w.Dims[0] != 17 || got[0] != row[0] || got[191] != row[191] {
		t.Errorf("weights of %v, the first %v, want those of the second class, %v", w.Dims, got[0], row[0])
	}
	if m.Meta("names") != `["car"]` || m.Meta("family") != "nanodet" {
		t.Errorf("metadata %v", m.Metadata)
	}
}

// A tail that does more than rearrange stays.
func TestOtherTailsStay(t *testing.T) {
	for name, change := range map[string]func(g *graph.Graph){
		"no sigmoid":      func(g *graph.Graph) { g.Nodes[2].Op = "Tanh" },
		"another order":   func(g *graph.Graph) { g.Nodes[4].Attrs = []*graph.Attr{ints("perm", 0, 1, 2)} },
		"another axis":    func(g *graph.Graph) { g.Nodes[1].Attrs[0].I = 2 },
		"one more output": func(g *graph.Graph) { g.Outputs = append(g.Outputs, graph.Port{Name: "v1", Type: graph.F32}) },
		"one name fewer":  func(g *graph.Graph) { g.Outputs = g.Outputs[:1] },
	} {
		m := nano()
		change(m.Graph)
		before := len(m.Graph.Outputs)
		if n := tail(m); n != 0 || len(m.Graph.Outputs) != before || m.Graph.Outputs[0].Name != "cls8" {
			t.Errorf("%s: %d nodes cut", name, n)
		}
	}
}

func TestUnknownClassIsNamed(t *testing.T) {
	_, err := Exact(nano(), []string{"person", "unicorn"})
	if err == nil || !strings.Contains(err.Error(), `"unicorn"; it knows person, car`) {
		t.Errorf("got %v", err)
	}
}

// FuzzExact simplifies any network that can be read, with its first class alone if
// it has some, and turns it into integers.
func FuzzExact(f *testing.F) {
	f.Add(nano().Write())
	b := newBuilder(32)
	b.node("Conv", []string{"x", b.constant([]int64{32, 32, 3, 3}, b.values(32*32*9))}, ints("pads", 1, 1, 1, 1))
	f.Add(b.ends().Write())
	for seed := range uint64(4) {
		f.Add(network(rand.New(rand.NewPCG(seed, 1))).Write())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := graph.Read(b)
		if err != nil {
			return
		}
		m.Graph.Shapes(64, 64)
		var classes []string
		if labels, err := Labels(m); err == nil && len(labels) > 0 {
			classes = labels[:1]
		}
		if _, err := Exact(m, classes); err != nil {
			return
		}
		if _, err := graph.Read(m.Write()); err != nil {
			t.Errorf("what came out cannot be read: %v", err)
		}
		if filtered, err := graph.Read(m.Write()); err == nil {
			winograd(filtered, filtered.Graph.Shapes(512, 512))
			if _, err := graph.Read(filtered.Write()); err != nil {
				t.Errorf("what came out filtered cannot be read: %v", err)
			}
		}
		p := planFor(m.Graph, Everywhere, m.Graph.Shapes(64, 64), func(n *graph.Node) bool { return makesOutput(m.Graph, n) })
		spans := map[string]span{}
		for _, value := range p.values {
			spans[value] = span{-1, 2}
		}
		quantize(m.Graph, p, spans)
		if _, err := graph.Read(m.Write()); err != nil {
			t.Errorf("what came out in integers cannot be read: %v", err)
		}
	})
}
