package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
)

// What a network in integers computes stays within some of its steps of what it
// computed in floats, in both forms; weights take a byte each.
func TestQuantizedIsNear(t *testing.T) {
	for seed := range uint64(60) {
		for _, form := range []Form{AroundConvolutions, Everywhere} {
			b := &graphtest.Builder{Graph: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, Rand: rand.New(rand.NewPCG(seed, 3)), At: "x", Channels: 2}
			b.Graph.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: 2}, {Size: 5}, {Size: 6}}}}
			b.Conv()
			b.Node("Relu", []string{b.At})
			b.Conv()
			b.Graph.Outputs = []graph.Port{{Name: b.At, Type: graph.F32}}
			in := graphtest.Picture{C: 2, H: 5, W: 6, V: b.Float64s(60)}
			want := graphtest.Evaluate(t, b.Graph, in)

			p := PlanFor(b.Graph, form, b.Graph.Shapes(6, 5), func(*graph.Node) bool { return false })
			spans := map[string]Span{}
			for _, value := range p.Values {
				spans[value] = spanOf(t, b.Graph, value, in)
			}
			Mark(b.Graph, p, spans)
			if _, err := graph.Read((&graph.Model{Graph: b.Graph}).Write()); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, form, err)
			}
			got, most, off := graphtest.Evaluate(t, b.Graph, in), 0.0, 0.0
			for i, v := range want.V {
				most, off = max(most, math.Abs(v)), max(off, math.Abs(v-got.V[i]))
			}
			if off > most*.06 || off == 0 {
				t.Errorf("seed %d, %s: off by %v of %v", seed, form, off, most)
			}
			if n := int8Weights(b.Graph); n != 2 {
				t.Errorf("seed %d, %s: %d convolutions have weights of bytes", seed, form, n)
			}
		}
	}
}

func spanOf(t *testing.T, g *graph.Graph, value string, in graphtest.Picture) Span {
	cut := *g
	cut.Outputs = []graph.Port{{Name: value}}
	s := Span{}
	for _, v := range graphtest.Evaluate(t, &cut, in).V {
		s.Low, s.High = min(s.Low, float32(v)), max(s.High, float32(v))
	}
	return s
}

func int8Weights(g *graph.Graph) (n int) {
	for _, t := range g.Tensors {
		if t.Type == graph.I8 && len(t.Dims) == 4 {
			n++
		}
	}
	return n
}

func TestScale(t *testing.T) {
	for s, want := range map[Span]struct {
		step float32
		zero uint8
	}{
		{0, 255}: {1, 0}, {-255, 0}: {1, 255}, {-1, 1}: {2. / 255, 127}, {10, 510}: {2, 0}, {-510, -10}: {2, 255}, {0, 0}: {1e-8, 0},
	} {
		if step, zero := s.scale(); step != want.step || zero != want.zero {
			t.Errorf("%v: step %v, zero %d, want %v, %d", s, step, zero, want.step, want.zero)
		}
	}
}
