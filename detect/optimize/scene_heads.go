package optimize

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"sightline/detect/optimize/exact"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// heads are the outputs that tail left, with their strides; nil for networks of
// other families.
func heads(m *graph.Model) (names []string, strides []int) {
	for _, p := range m.Graph.Outputs {
		digits, is := strings.CutPrefix(p.Name, "head")
		stride, err := strconv.Atoi(digits)
		if !is || err != nil {
			return nil, nil
		}
		names, strides = append(names, p.Name), append(strides, stride)
	}
	return names, strides
}

// scoresOf adds the best class score at each place of a head: [1, 1, rows, columns].
func scoresOf(m *graph.Model, g *graph.Graph, head string) string {
	labels, err := exact.Labels(m)
	if err != nil || len(labels) == 0 {
		return ""
	}
	put := func(suffix string, values ...int64) string {
		t := graph.NewInt64(g.Fresh(head+suffix), values...)
		g.Tensors[t.Name] = t
		return t.Name
	}
	add := func(op, suffix string, attrs []*graph.Attr, inputs ...string) string {
		out := g.Fresh(head + suffix)
		g.Nodes = append(g.Nodes, &graph.Node{Name: out, Op: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs})
		return out
	}
	scores := add("Slice", "/scores", nil, head, put("/from", 0), put("/to", int64(len(labels))), put("/axes", 1))
	keep := []*graph.Attr{{Name: "keepdims", Type: graph.Int, I: 1}}
	inputs := []string{scores}
	if m.Opset() >= 18 {
		inputs = append(inputs, put("/over", 1))
	} else {
		keep = append(keep, &graph.Attr{Name: "axes", Type: graph.Ints, Is: []int64{1}})
	}
	return add("Sigmoid", "/best", nil, add("ReduceMax", "/most", keep, inputs...))
}

// focusOn adds, for each head, where it sees something, and a little around it.
func focusOn(m *graph.Model, g *graph.Graph) (values []string) {
	names, _ := heads(m)
	g.Tensors = maps.Clone(g.Tensors)
	for _, head := range names {
		best := scoresOf(m, g, head)
		if best == "" {
			return nil
		}
		out := g.Fresh(head + "/around")
		g.Nodes = append(g.Nodes, &graph.Node{Name: out, Op: "MaxPool", Inputs: []string{best}, Outputs: []string{out}, Attrs: []*graph.Attr{
			{Name: "kernel_shape", Type: graph.Ints, Is: []int64{3, 3}}, {Name: "pads", Type: graph.Ints, Is: []int64{1, 1, 1, 1}},
		}})
		values = append(values, out)
	}
	return values
}

// quiet removes the heads whose scores stay far below those that are looked for, on
// all pictures that are learned from, and sets the network to go on with. The best
// one stays. Networks with a stride of 64 keep all: it tells how their boxes are
// to be read.
func (s *specialist) quiet(m *graph.Model) error {
	copied := *m
	g := *m.Graph
	copied.Graph = &g
	s.m = &copied
	names, strides := heads(m)
	if len(names) < 2 || slices.Contains(strides, 64) {
		return nil
	}
	best, err := s.bestScores(names)
	if err != nil || best == nil {
		return err
	}
	limit := float32(s.c.Least) / 4
	least := min(limit, slices.Max(best))
	var stay []graph.Port
	var left []int
	var gone []string
	for i, p := range g.Outputs {
		if best[i] >= least {
			stay, left = append(stay, p), append(left, strides[i])
		} else {
			gone = append(gone, fmt.Sprintf("stride %d (best score %.2f)", strides[i], best[i]))
		}
	}
	if gone == nil {
		return nil
	}
	g.Outputs = stay
	g.Nodes, g.Tensors = slices.Clone(g.Nodes), maps.Clone(g.Tensors)
	count := g.Sweep()
	copied.Metadata = slices.Clone(m.Metadata)
	if copied.Meta("strides") != "" {
		text, err := json.Marshal(left)
		if err != nil {
			return err
		}
		copied.SetMeta("strides", string(text))
	}
	step := Step{Name: "heads", Count: count, Detail: "nothing is ever seen at " + strings.Join(gone, ", ") + "; removed with what only they need"}
	return s.noted(step, s.m, s.shape)
}

// bestScores are each head's best on the pictures; nil where that is not known.
func (s *specialist) bestScores(names []string) ([]float32, error) {
	g := *s.m.Graph
	g.Nodes, g.Tensors, g.Outputs = slices.Clone(g.Nodes), maps.Clone(g.Tensors), nil
	var values []string
	for _, head := range names {
		v := scoresOf(s.m, &g, head)
		if v == "" {
			return nil, nil
		}
		values = append(values, v)
	}
	known := g.Shapes(s.shape.Width, s.shape.Height)
	var taps []prune.Tap
	for i, v := range values {
		dims := known[names[i]]
		if len(dims) != 4 {
			return nil, nil
		}
		taps = append(taps, prune.Tap{Name: v, Dims: []int64{1, 1, dims[2], dims[3]}})
		g.Outputs = append(g.Outputs, graph.Port{Name: v, Type: graph.F32, Dims: graph.Fixed(taps[i].Dims)})
	}
	best := make([]float32, len(names))
	err := s.look(&g, taps, s.known, func(i int, seen [][]float32) {
		for k, v := range seen {
			most := slices.Max(v)
			if math.IsNaN(float64(most)) {
				most = 1 // it stays
			}
			best[k] = max(best[k], most)
		}
		s.progress("looking for outputs that never fire", i+1, len(s.known))
	})
	return best, err
}
