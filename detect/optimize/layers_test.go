package optimize

import (
	"strings"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/detect/optimize/quantize"
)

// Convolutions are paired with what became of them, renamed or gone, and not by order.
func TestLayersArePairedByLineage(t *testing.T) {
	b := graphtest.New(2)
	for range 3 {
		b.Node("Conv", []string{b.At, b.Constant([]int64{2, 2, 1, 1}, b.Values(4))})
		b.Node("Mul", []string{b.At, b.Constant(nil, []float32{2})})
	}
	m := b.Model()
	r := &Report{}
	before, names := Layers(m, 8, 8), lineageOf(m.Graph)
	if _, err := simplified(m, nil); err != nil {
		t.Fatal(err)
	}
	r.Layers = names.pair(before, m.Graph)
	r.weigh(m, 8, 8)
	for i, l := range r.Layers {
		if l.Name != before[i].Name || l.now == l.Name || l.Channels != [2]int{2, 2} || l.MACs != [2]int64{256, 256} {
			t.Errorf("%+v", l)
		}
	}
	middle := m.Graph.Nodes[1] // which goes
	m.Graph.Redirect(middle.Outputs[0], middle.Inputs[0])
	m.Graph.Remove(middle)
	r.weigh(m, 8, 8)
	if r.Layers[1].Channels != [2]int{2, 0} || r.Layers[0].Channels[1] != 2 || r.Layers[2].Channels[1] != 2 || r.After.MACs != 512 {
		t.Errorf("%+v, %+v", r.Layers, r.After)
	}
	var page strings.Builder
	r.Passed, r.Stream = true, "gate <1>"
	if err := r.Page(&page); err != nil || strings.Count(page.String(), `class="gone"`) != 1 || !strings.Contains(page.String(), "for the stream gate &lt;1&gt; alone") {
		t.Errorf("page: %v\n%s", err, page.String())
	}
}

// Convolutions that compute in integers are marked, and keep what they were told to be.
func TestIntegerLayersAreMarked(t *testing.T) {
	b := graphtest.New(2)
	b.Conv()
	m := b.Model()
	r := &Report{}
	r.Layers = lineageOf(m.Graph).pair(Layers(m, 8, 8), m.Graph)
	r.weigh(m, 8, 8)
	was := r.Layers[0]
	p := quantize.PlanFor(m.Graph, quantize.AroundConvolutions, m.Graph.Shapes(8, 8), func(*graph.Node) bool { return false })
	quantize.Mark(m.Graph, p, map[string]quantize.Span{"x": {Low: -1, High: 1}})
	r.weigh(m, 8, 8)
	if l := r.Layers[0]; !l.Integers || l.Channels != was.Channels || l.MACs != was.MACs || r.After.MACs != was.MACs[0] {
		t.Errorf("%+v, was %+v; %+v", l, was, r.After)
	}
}

func TestCurve(t *testing.T) {
	r := &Report{Agreement: .97, Passed: true, Engines: make([]EngineReport, 1), Points: []Point{{Name: "untimed", Recall: .5}, {Name: "a", Recall: .9, Precision: .99, Speedup: 4, Reason: "less"}, {Name: "b", Recall: .98, Precision: .98, Speedup: 2}}}
	c := r.curve()
	if len(c.Dots) != 3 {
		t.Fatalf("%+v", c.Dots)
	}
	source, a, b := c.Dots[0], c.Dots[1], c.Dots[2]
	if !source.Source || source.X != curveRight || source.Y != curveTop || !(a.X < b.X && b.X < source.X) || !(a.Y > c.Budget && c.Budget > b.Y) || a.Passed || a.Chosen || !b.Passed || !b.Chosen {
		t.Errorf("%+v", c)
	}
	r.Points, r.Engines = append(r.Points, Point{Name: "b elsewhere", Recall: .99, Precision: .99, Speedup: 3}), make([]EngineReport, 2)
	if d := r.curve().Dots; d[1].Chosen || !d[2].Chosen || !d[3].Chosen {
		t.Errorf("of two engines: %+v", d)
	}
	if a.Y > curveBottom || (&Report{}).curve() != nil {
		t.Errorf("%+v", a)
	}
}
