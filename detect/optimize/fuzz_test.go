package optimize

import (
	"math/rand/v2"
	"testing"

	"sightline/detect/optimize/exact"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/detect/optimize/quantize"
)

// FuzzExact simplifies any network that can be read, with its first class alone if
// it has some, and turns it into integers.
func FuzzExact(f *testing.F) {
	f.Add(graphtest.NanoDet().Write())
	b := graphtest.New(32)
	b.Node("Conv", []string{"x", b.Constant([]int64{32, 32, 3, 3}, b.Values(32*32*9))}, graphtest.Ints("pads", 1, 1, 1, 1))
	f.Add(b.Model().Write())
	for seed := range uint64(4) {
		f.Add(graphtest.Random(rand.New(rand.NewPCG(seed, 1))).Write())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := graph.Read(b)
		if err != nil {
			return
		}
		m.Graph.Shapes(64, 64)
		var classes []string
		if labels, err := exact.Labels(m); err == nil && len(labels) > 0 {
			classes = labels[:1]
		}
		if _, err := simplified(m, classes); err != nil {
			return
		}
		if _, err := graph.Read(m.Write()); err != nil {
			t.Errorf("what came out cannot be read: %v", err)
		}
		if filtered, err := graph.Read(m.Write()); err == nil {
			exact.Winograd(filtered, filtered.Graph.Shapes(512, 512))
			if _, err := graph.Read(filtered.Write()); err != nil {
				t.Errorf("what came out filtered cannot be read: %v", err)
			}
		}
		p := quantize.PlanFor(m.Graph, quantize.Everywhere, m.Graph.Shapes(64, 64), func(n *graph.Node) bool { return quantize.MakesOutput(m.Graph, n) })
		spans := map[string]quantize.Span{}
		for _, value := range p.Values {
			spans[value] = quantize.Span{Low: -1, High: 2}
		}
		quantize.Mark(m.Graph, p, spans)
		if _, err := graph.Read(m.Write()); err != nil {
			t.Errorf("what came out in integers cannot be read: %v", err)
		}
	})
}
