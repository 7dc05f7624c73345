package exact

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
)

// simplify simplifies a network as a whole.
func simplify(m *graph.Model, classes []string) (changes []Change, err error) {
	err = Simplify(m, classes, func(c Change) error {
		changes = append(changes, c)
		return nil
	})
	return changes, err
}

// What networks compute does not change, held against a plain evaluation; over a
// quarter of the nodes is gone.
func TestExactKeepsWhatIsComputed(t *testing.T) {
	left, before := 0, 0
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := graphtest.Random(rng)
		in := graphtest.Picture{C: 2, H: 5, W: 6, V: (&graphtest.Builder{Rand: rng}).Float64s(60)}
		want := graphtest.Evaluate(t, m.Graph, in)
		before += len(m.Graph.Nodes)
		if _, err := simplify(m, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := graph.Read(m.Write()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := graphtest.Evaluate(t, m.Graph, in)
		left += len(m.Graph.Nodes)
		if got.C != want.C || got.H != want.H || got.W != want.W {
			t.Fatalf("seed %d: %d×%d×%d, want %d×%d×%d", seed, got.C, got.H, got.W, want.C, want.H, want.W)
		}
		most := 1.0
		for _, v := range want.V {
			most = max(most, math.Abs(v))
		}
		for i := range want.V {
			if math.Abs(got.V[i]-want.V[i]) > 1e-5*most {
				t.Fatalf("seed %d: value %d is %v, want %v (largest %v)", seed, i, got.V[i], want.V[i], most)
			}
		}
	}
	if left*100 > before*73 {
		t.Errorf("%d of %d nodes are left", left, before)
	}
}

// Weights that two convolutions share are not changed for both.
func TestSharedWeightsStay(t *testing.T) {
	b := &graphtest.Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rand.New(rand.NewPCG(1, 2)), At: "x", Channels: 2}
	b.Graph.Inputs = []graph.Port{{Name: "x", Type: graph.F32}}
	w := b.Constant([]int64{2, 2, 1, 1}, b.Values(4))
	b.Node("Conv", []string{"x", w})
	b.Node("Mul", []string{b.At, b.Constant(nil, []float32{3})})
	b.Node("Conv", []string{b.At, w})
	b.Graph.Outputs = []graph.Port{{Name: b.At, Type: graph.F32}}
	in := graphtest.Picture{C: 2, H: 1, W: 1, V: []float64{1, 2}}
	want := graphtest.Evaluate(t, b.Graph, in)
	steps, err := simplify(&graph.Model{Graph: b.Graph}, nil)
	if err != nil || len(steps) == 0 {
		t.Fatal(steps, err)
	}
	for i, v := range graphtest.Evaluate(t, b.Graph, in).V {
		if math.Abs(v-want.V[i]) > 1e-5 {
			t.Errorf("%v, want %v", v, want.V)
		}
	}
}

// A value that something else uses too, or that leaves the network, is not folded away.
func TestUsedValuesStay(t *testing.T) {
	b := &graphtest.Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rand.New(rand.NewPCG(1, 2)), At: "x", Channels: 2}
	b.Graph.Inputs = []graph.Port{{Name: "x", Type: graph.F32}}
	b.Conv()
	kept := b.At
	b.Node("Mul", []string{kept, b.Constant(nil, []float32{3})})
	b.Graph.Outputs = []graph.Port{{Name: kept, Type: graph.F32}, {Name: b.At, Type: graph.F32}}
	if steps, err := simplify(&graph.Model{Graph: b.Graph}, nil); err != nil || len(steps) != 0 || len(b.Graph.Nodes) != 2 {
		t.Errorf("%v, %v: %d nodes", steps, err, len(b.Graph.Nodes))
	}
}

func TestTailIsCutAndClassesSliced(t *testing.T) {
	m := graphtest.NanoDet()
	row := m.Graph.Tensors["c0"].Float32s()[192:384] // of the second class
	if _, err := simplify(m, []string{"car"}); err != nil {
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
		"another order":   func(g *graph.Graph) { g.Nodes[4].Attrs = []*graph.Attr{graphtest.Ints("perm", 0, 1, 2)} },
		"another axis":    func(g *graph.Graph) { g.Nodes[1].Attrs[0].I = 2 },
		"one more output": func(g *graph.Graph) { g.Outputs = append(g.Outputs, graph.Port{Name: "v1", Type: graph.F32}) },
		"one name fewer":  func(g *graph.Graph) { g.Outputs = g.Outputs[:1] },
	} {
		m := graphtest.NanoDet()
		change(m.Graph)
		before := len(m.Graph.Outputs)
		if n := tail(m); n != 0 || len(m.Graph.Outputs) != before || m.Graph.Outputs[0].Name != "cls8" {
			t.Errorf("%s: %d nodes cut", name, n)
		}
	}
}

func TestUnknownClassIsNamed(t *testing.T) {
	_, err := simplify(graphtest.NanoDet(), []string{"person", "unicorn"})
	if err == nil || !strings.Contains(err.Error(), `"unicorn"; it knows person, car`) {
		t.Errorf("got %v", err)
	}
}
