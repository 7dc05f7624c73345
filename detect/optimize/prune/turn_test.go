package prune

import (
	"math/rand/v2"
	"slices"
	"testing"

	"sightline/detect/optimize/graph"
)

// summed chains sums, joins and resizing at random, and now and then what is none of
// them; some values on the way are outputs, and some convolutions share their weights.
func summed(seed uint64) (*builder, *graph.Model) {
	b := newBuilder(seed, 3, 12, 12)
	alike := map[[3]int64][]string{}
	var all, outputs []string
	put := func(v string) {
		d := b.known[v]
		key := [3]int64{d[1], d[2], d[3]}
		all, alike[key] = append(all, v), append(alike[key], v)
	}
	put(b.conv("x", 8, 3, 1, 1))
	put(b.conv("x", 8, 3, 2, 1))
	put(b.conv("x", 8, 1, 1, 1))
	for range 14 {
		x := all[max(0, len(all)-1-b.rng.IntN(4))]
		d := b.known[x]
		other := alike[[3]int64{d[1], d[2], d[3]}]
		y := other[b.rng.IntN(len(other))]
		switch b.rng.IntN(14) {
		case 0, 1:
			put(b.node([]string{"Add", "Sub"}[b.rng.IntN(2)], d, nil, x, y))
		case 2:
			if d[1] < 32 {
				put(b.join(x, y))
			}
		case 3:
			if d[2] < 20 {
				put(b.twice(x))
			}
		case 4:
			put(b.node("AveragePool", d, []*graph.Attr{list("kernel_shape", 3, 3), list("pads", 1, 1, 1, 1), num("count_include_pad", int64(b.rng.IntN(2)))}, x))
		case 5:
			put(b.node("Add", d, nil, x, b.node("GlobalAveragePool", []int64{1, d[1], 1, 1}, nil, y)))
		case 6:
			put(b.node("Identity", d, nil, x))
		case 7:
			last := b.g.Nodes[slices.IndexFunc(b.g.Nodes, func(n *graph.Node) bool { return n.Op == "Conv" })]
			if w := b.g.Tensors[last.Inputs[1]]; w.Dims[1] == d[1] && b.known[last.Inputs[0]][2] == d[2] {
				put(b.node("Conv", b.known[last.Outputs[0]], last.Attrs, x, last.Inputs[1], last.Inputs[2]))
			}
		case 8:
			put(b.silu(x))
		case 9:
			put(b.node("Mul", d, nil, x, b.constant([]int64{d[1], 1, 1}, b.values(int(d[1]), 1))))
		case 10:
			if b.rng.IntN(3) == 0 {
				outputs = append(outputs, x)
			}
		default:
			put(b.conv(x, 8, 1+2*int64(b.rng.IntN(2)), 1, 1))
		}
	}
	for _, v := range all[max(0, len(all)-4):] {
		outputs = append(outputs, b.conv(v, 3, 1, 1, 1))
	}
	slices.Sort(outputs)
	m := b.ends(slices.Compact(outputs)...)
	m.Graph.Sweep()
	return b, m
}

// anyMoments are those of numbers that have nothing to do with the network.
func anyMoments(rng *rand.Rand, c *Conv) Moments {
	k, m := c.Columns()+1, Moments(nil)
	for range 2 * k {
		row := make([]float32, k)
		for i := range row {
			row[i] = float32(rng.NormFloat64())
		}
		row[k-1] = 1
		outer := make([]float32, 0, k*k)
		for _, a := range row {
			for _, b := range row {
				outer = append(outer, a*b)
			}
		}
		m.Add(outer)
	}
	return m
}

// Whatever is between convolutions, and whatever the pictures say of it: with other
// channels in all groups that allow it a network computes what it did.
func TestTurnedIsTheSame(t *testing.T) {
	turned := 0
	for seed := range uint64(40) {
		b, m := summed(seed)
		rng := rand.New(rand.NewPCG(seed, 3))
		g := m.Graph
		for i := 0; ; i++ {
			n := Trace(g, b.known)
			if i == len(n.Groups) {
				break
			}
			if !n.Linear(n.Groups[i]) {
				continue
			}
			moments := map[string]Moments{}
			for _, c := range n.Consumers(n.Groups[i]) {
				moments[c.Name] = anyMoments(rng, c)
			}
			var err error
			if g, err = n.Turn(n.Groups[i], moments, true); err != nil {
				t.Fatal(err)
			}
			turned++
		}
		in := map[string][]float32{"x": b.values(3*12*12, 1)}
		want := compute(t, b, m.Graph, outputsOf(b, m.Graph), in)
		for i, got := range compute(t, b, g, outputsOf(b, m.Graph), in) {
			if off := far(want[i], got); !(off <= 1e-3) {
				t.Errorf("seed %d: with other channels output %d is off by %v", seed, i, off)
			}
		}
	}
	if turned < 40 {
		t.Errorf("only %d groups were turned", turned)
	}
}
