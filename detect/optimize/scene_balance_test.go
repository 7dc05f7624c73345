package optimize

import (
	"math"
	"slices"
	"testing"

	"sightline/detect"
	"sightline/detect/optimize/graph"
)

// Scores that fell throughout rise until as many count as did; few of them, or none,
// move nothing, and nothing moves far.
func TestShift(t *testing.T) {
	list := func(n int, from, step float64) (v []float64) {
		for i := range n {
			v = append(v, from-step*float64(i))
		}
		return v
	}
	logit := func(p float64) float64 { return math.Log(p / (1 - p)) }
	for name, c := range map[string]struct {
		were, are []float64
		want      float64
	}{
		"the same":     {list(30, .9, .01), list(30, .9, .01), 0},
		"lower":        {list(60, .9, .01), list(60, .8, .01), logit(.4) - (logit(.8-.50)+logit(.8-.51))/2},
		"higher":       {list(60, .8, .01), list(60, .9, .01), logit(.4) - (logit(.9-.40)+logit(.9-.41))/2},
		"far lower":    {list(60, .9, .001), list(60, .25, .001), mostMoved},
		"few":          {list(19, .9, .01), list(19, .5, .01), 0},
		"none is left": {list(60, .9, .01), nil, 0},
		"fewer":        {list(40, .9, .01), list(30, .69, .01), 0},
	} {
		if got := shiftFor(c.were, c.are, .4); math.Abs(got-c.want) > .03 {
			t.Errorf("%s: by %v, want %v", name, got, c.want)
		}
	}
	found := [][]detect.Detection{{{Class: "a", Score: .3}, {Class: "b", Score: .5}}, {{Class: "a", Score: .7}}}
	if got := scoresFor("a", found); !slices.Equal(got, []float64{.7, .3}) {
		t.Errorf("scores %v", got)
	}
}

// What is added to a head is added to its classes alone, and to no other graph that
// shares its constants; a head that no convolution makes is left alone.
func TestMoved(t *testing.T) {
	m := nano()
	names, _ := heads(m)
	if len(names) == 0 {
		if _, err := Exact(m, nil); err != nil {
			t.Fatal(err)
		}
		names, _ = heads(m)
	}
	g := *m.Graph
	g.Nodes = slices.Clone(g.Nodes)
	at := slices.IndexFunc(g.Nodes, func(n *graph.Node) bool { return n.Outputs[0] == names[0] })
	was := m.Graph.Tensors[g.Nodes[at].Inputs[2]].Float32s()
	if !moved(&g, names[0], []float32{.5, -.25}) {
		t.Fatal("nothing moved")
	}
	is := g.Tensors[g.Nodes[at].Inputs[2]].Float32s()
	for i := range is {
		want := was[i] + map[int]float32{0: .5, 1: -.25}[i]
		if is[i] != want {
			t.Errorf("offset %d is %v, want %v", i, is[i], want)
		}
	}
	if now := m.Graph.Tensors[m.Graph.Nodes[at].Inputs[2]].Float32s(); !slices.Equal(now, was) {
		t.Error("the graph that it was made of changed")
	}
	if moved(&g, "nothing", []float32{1}) {
		t.Error("a head that is not there moved")
	}
}
