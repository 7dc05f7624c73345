package optimize

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"sightline/detect"
	"sightline/detect/optimize/graph"
)

// Bounds of how scores are moved.
const (
	leastCounted = 20  // boxes of a class that say something about its scores
	mostMoved    = 0.7 // of a logit, up or down
)

// balance moves the scores of a candidate, class by class, so that it finds as many
// boxes as the original in the pictures that it was fitted to: where channels or
// pixels are missing scores are lower throughout, and boxes are lost that are there.
// It does so where it is known what the outputs mean.
func (c *candidate) balance() error {
	q := c.q
	labels, err := Labels(c.model)
	names, _ := heads(c.model)
	if err != nil || len(labels) == 0 || len(names) == 0 {
		return nil
	}
	if q.taught == nil {
		least := q.c.Least / 2
		if q.taught, err = q.jury.s.newJury(q.learn, q.c.made(), "", least); err != nil {
			return fmt.Errorf("count boxes: %w", err)
		}
	}
	found, err := q.taught.ask(c.model, q.shape)
	if err != nil {
		return fmt.Errorf("count boxes: %w", err)
	}
	shifts := make([]float32, len(labels))
	for i, label := range labels {
		shifts[i] = float32(shiftFor(scoresFor(label, q.taught.original), scoresFor(label, found), q.c.Least))
	}
	if slices.Max(shifts) == 0 && slices.Min(shifts) == 0 {
		return nil
	}
	m := *c.model
	g := *m.Graph
	m.Graph, g.Nodes = &g, slices.Clone(g.Nodes)
	for _, head := range names {
		if !moved(&g, head, shifts) {
			return nil
		}
	}
	c.model = &m
	return nil
}

// scoresFor are all of a class, the highest first.
func scoresFor(label string, found [][]detect.Detection) (scores []float64) {
	for _, picture := range found {
		for _, d := range picture {
			if d.Class == label {
				scores = append(scores, d.Score)
			}
		}
	}
	slices.SortFunc(scores, func(a, b float64) int { return cmp.Compare(b, a) })
	return scores
}

// shiftFor is by how much logits are to rise so that as many scores are from least on
// as were; both lists go on below it.
func shiftFor(were, are []float64, least float64) float64 {
	count := 0
	for _, s := range were {
		if s >= least {
			count++
		}
	}
	if count < leastCounted || len(are) == 0 || count >= len(are) && are[len(are)-1] >= least {
		return 0 // there is nothing to count by
	}
	logit := func(p float64) float64 { return math.Log(p / (1 - p)) }
	last := logit(are[min(count, len(are))-1])
	if count < len(are) {
		last = (last + logit(are[count])) / 2
	}
	return min(max(logit(least)-last, -mostMoved), mostMoved)
}

// moved adds to the first offsets of the convolution that makes a head; false where
// none does.
func moved(g *graph.Graph, head string, shifts []float32) bool {
	at := slices.IndexFunc(g.Nodes, func(n *graph.Node) bool { return slices.Contains(n.Outputs, head) })
	if at < 0 {
		return false
	}
	n := *g.Nodes[at]
	bias := g.Tensors[n.Input(2)]
	if n.Op != "Conv" || bias == nil || bias.Type != graph.F32 || bias.Len() < len(shifts) {
		return false
	}
	values := bias.Float32s()
	for i, s := range shifts {
		values[i] += s
	}
	n.Inputs = slices.Clone(n.Inputs)
	g.Nodes[at] = &n
	t := graph.NewFloat32(g.Fresh(head+".balanced"), bias.Dims, values)
	g.Tensors = maps.Clone(g.Tensors)
	g.Tensors[t.Name] = t
	n.Inputs[2] = t.Name
	return true
}
