package prune

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sightline/detect/optimize/graph"
)

// pyramid has two ways that are summed with no activation behind them, which are of
// few dimensions, and a convolution with one behind it.
func pyramid(seed uint64) (*builder, *graph.Model) {
	b := newBuilder(seed, 3, 16, 16)
	fine := b.silu(b.conv("x", 12, 3, 1, 1))
	coarse := b.silu(b.conv(fine, 8, 3, 2, 1))
	side := b.conv(fine, 24, 1, 1, 1)
	up := b.twice(b.conv(coarse, 24, 1, 1, 1))
	sum := b.node("Add", b.known[up], nil, side, up)
	y := b.silu(b.conv(sum, 16, 3, 1, 1))
	return b, b.ends(b.conv(y, 5, 1, 1, 1))
}

// momentsOf are of what goes into some convolutions on random pictures.
func momentsOf(t *testing.T, b *builder, n *Net, convs []*Conv) map[string]Moments {
	g, taps := n.MomentProbe(convs, Sampling{Positions: 300})
	out := map[string]Moments{}
	for range 20 {
		in := map[string][]float32{"x": b.values(3*16*16, 1)}
		for i, v := range compute(t, b, g, taps, in) {
			m := out[convs[i].Name]
			m.Add(v)
			out[convs[i].Name] = m
		}
	}
	return out
}

// Channels between which there are only sums become others: the network computes the
// same, and without the half of them that counts least it loses less than it did.
func TestTurn(t *testing.T) {
	for seed := range uint64(3) {
		b, m := pyramid(seed)
		n := Trace(m.Graph, b.known)
		var turned []int
		for i, g := range n.Groups {
			if n.Linear(g) {
				turned = append(turned, i)
			}
		}
		if len(turned) != 1 || len(n.Groups[turned[0]].Classes) != 24 {
			t.Fatalf("groups %v of %d are linear", turned, len(n.Groups))
		}
		at := turned[0]
		moments := momentsOf(t, b, n, n.Consumers(n.Groups[at]))
		g, err := n.Turn(n.Groups[at], moments, true)
		if err != nil {
			t.Fatal(err)
		}
		in := map[string][]float32{"x": b.values(3*16*16, 1)}
		want := compute(t, b, m.Graph, outputsOf(b, m.Graph), in)
		if off := far(want[0], compute(t, b, g, outputsOf(b, m.Graph), in)[0]); off > 1e-4 || off == 0 {
			t.Errorf("seed %d: with other channels it is off by %v", seed, off)
		}
		other := Trace(g, b.known)
		before, after := cost(t, b, n, at), cost(t, b, other, at)
		if after > before*.8 {
			t.Errorf("seed %d: half of the channels cost %v, and %v before they were turned", seed, after, before)
		}
	}
}

// cost is of half of a group's channels.
func cost(t *testing.T, b *builder, n *Net, at int) float64 {
	g := n.Groups[at]
	inverses := map[string]*Inverse{}
	for name, m := range momentsOf(t, b, n, n.Consumers(g)) {
		i := slices.IndexFunc(n.convs, func(c *Conv) bool { return c.Name == name })
		inv, err := n.convs[i].Invert(m)
		if err != nil {
			t.Fatal(err)
		}
		inverses[name] = inv
	}
	r, err := n.Rank(g, inverses, len(g.Classes)/2, 1, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Cost[len(r.Cost)-1]
}

// Where something tells the channels apart they stay what they are.
func TestNotLinear(t *testing.T) {
	for name, between := range map[string]func(b *builder, x string) string{
		"activation": func(b *builder, x string) string { return b.silu(x) },
		"offset": func(b *builder, x string) string {
			return b.node("Add", b.known[x], nil, x, b.constant([]int64{}, []float32{1}))
		},
		"by channel": func(b *builder, x string) string {
			return b.node("Mul", b.known[x], nil, x, b.constant([]int64{8, 1, 1}, b.values(8, 1)))
		},
		"pool": func(b *builder, x string) string {
			return b.node("MaxPool", b.known[x], []*graph.Attr{list("kernel_shape", 1, 1)}, x)
		},
		"depthwise": func(b *builder, x string) string { return b.conv(x, 8, 3, 1, 8) },
		"twice":     func(b *builder, x string) string { return b.join(x, x) },
		"itself":    func(b *builder, x string) string { return b.node("Add", b.known[x], nil, x, b.conv(x, 8, 1, 1, 1)) },
	} {
		b := newBuilder(1, 3, 8, 8)
		m := b.ends(b.conv(between(b, b.conv("x", 8, 1, 1, 1)), 4, 1, 1, 1))
		n := Trace(m.Graph, b.known)
		for _, g := range n.Groups {
			if n.Linear(g) {
				t.Errorf("%s: %s", name, g.Name)
			}
		}
	}
	b := newBuilder(1, 3, 8, 8)
	m := b.ends(b.conv(b.conv("x", 8, 1, 1, 1), 4, 1, 1, 1))
	if n := Trace(m.Graph, b.known); len(n.Groups) != 1 || !n.Linear(n.Groups[0]) {
		t.Error("two convolutions in a row are not linear")
	}
}

// Channels that nothing is known of have a basis all the same; numbers that are none
// do not.
func TestBasisOfNothing(t *testing.T) {
	to, from, err := basis(mat.NewSymDense(4, nil), mat.NewSymDense(4, nil))
	if err != nil {
		t.Fatal(err)
	}
	var both mat.Dense
	both.Mul(from, to)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		i, j := rng.IntN(4), rng.IntN(4)
		if want := map[bool]float64{true: 1}[i == j]; both.At(i, j)-want > 1e-6 || want-both.At(i, j) > 1e-6 {
			t.Errorf("there and back is %v at %d, %d", both.At(i, j), i, j)
		}
	}
}
