package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sightline/detect/optimize/graph"
)

// pair is two convolutions; the second one's moments are of random numbers.
func pair(seed uint64, channels, k int64) (*Net, *Conv, Moments) {
	b := newBuilder(seed, 2, 6, 6)
	m := b.ends(b.conv(b.node("Relu", []int64{1, channels, 6, 6}, nil, b.conv("x", channels, 1, 1, 1)), 3, k, 1, 1))
	n := Trace(m.Graph, b.known)
	c := n.Convs()[1]
	size := c.Columns() + 1
	a := mat.NewDense(size, 4*size, nil)
	for i := range size {
		for j := range 4 * size {
			v := b.rng.NormFloat64()
			if i > 0 && i < size-1 {
				v += .7 * a.At(i-1, j) // neighbors depend on each other
			}
			if i == size-1 {
				v = 1
			}
			a.Set(i, j, v)
		}
	}
	var h mat.Dense
	h.Mul(a, a.T())
	var sums Moments
	values := make([]float32, size*size)
	for i, v := range h.RawMatrix().Data {
		values[i] = float32(v)
	}
	sums.Add(values)
	return n, c, sums
}

// bruteForce is the least that the outputs differ by without some columns, of their
// variance, and the weights with which they do.
func bruteForce(t *testing.T, c *Conv, m Moments, gone []int) (float64, *mat.Dense) {
	t.Helper()
	k := c.Columns() + 1
	h, err := m.matrix(0, k)
	if err != nil {
		t.Fatal(err)
	}
	w := c.rows(0, c.Original())
	var stay []int
	for i := range k {
		if i == k-1 || !slices.Contains(gone, i/c.taps()) {
			stay = append(stay, i)
		}
	}
	outs, _ := w.Dims()
	part, cross := mat.NewDense(len(stay), len(stay), nil), mat.NewDense(len(stay), k, nil)
	for i, r := range stay {
		for j, q := range stay {
			part.Set(i, j, h.At(r, q))
		}
		for j := range k {
			cross.Set(i, j, h.At(r, j))
		}
	}
	var towards, small mat.Dense
	towards.Mul(cross, w.T())
	if err := small.Solve(part, &towards); err != nil {
		t.Fatal(err)
	}
	full := mat.NewDense(outs, k, nil)
	for i, r := range stay {
		for o := range outs {
			full.Set(o, r, small.At(i, o))
		}
	}
	var off, through mat.Dense
	off.Sub(w, full)
	through.Mul(&off, h)
	through.MulElem(&through, &off)
	return mat.Sum(&through) / c.variance(0, h), full
}

// Channels go in the order that trying all of them, with least squares each time,
// gives; what it costs and the weights that make up for it are the same too.
func TestRankIsBruteForce(t *testing.T) {
	for seed := range uint64(12) {
		n, c, m := pair(seed, 5, 1+2*int64(seed%2))
		inv, err := c.Invert(m)
		if err != nil {
			t.Fatal(err)
		}
		var want []int
		for len(want) < 4 {
			best, at := math.Inf(1), -1
			for k := range 5 {
				if cost, _ := bruteForce(t, c, m, append(slices.Clone(want), k)); !slices.Contains(want, k) && cost < best {
					best, at = cost, k
				}
			}
			want = append(want, at)
		}
		r, err := n.Rank(n.Groups[0], map[string]*Inverse{c.Name: inv}, 1, 1, []int{2, 4}, func(gone []int, weights map[string]Weights) error {
			cost, rows := bruteForce(t, c, m, gone)
			got := c.rows(0, weights[c.Name])
			if off := mat.Norm(difference(rows, got), 2); off > 1e-4*mat.Norm(rows, 2) {
				t.Errorf("seed %d, without %v: weights are off by %v", seed, gone, off)
			}
			if cost <= 0 {
				t.Errorf("seed %d: nothing is lost without %v", seed, gone)
			}
			return nil
		})
		if err != nil || !slices.Equal(r.Order, want) {
			t.Fatalf("seed %d: %v, and trying all gives %v (%v)", seed, r.Order, want, err)
		}
		for i := range r.Order {
			if cost, _ := bruteForce(t, c, m, r.Order[:i+1]); math.Abs(cost-r.Cost[i]) > 1e-5*cost+1e-9 {
				t.Errorf("seed %d: without %v it costs %v, said was %v", seed, r.Order[:i+1], cost, r.Cost[i])
			}
		}
	}
}

func difference(a, b *mat.Dense) *mat.Dense {
	var d mat.Dense
	d.Sub(a, b)
	return &d
}

// What a probe gives is A·Aᵀ and A·Yᵀ: with the weights, and nothing else, one leads
// to the other, for all strides, paddings, dilations and groups; refitting what lost
// nothing moves next to nothing.
func TestProbesAndRefit(t *testing.T) {
	b := newBuilder(3, 4, 15, 14)
	x := b.node("LeakyRelu", []int64{1, 8, 15, 14}, nil, b.conv("x", 8, 3, 1, 1))
	strided := b.conv(x, 8, 3, 2, 1)
	grouped := b.conv(strided, 8, 3, 1, 2)
	deep := b.conv(grouped, 8, 3, 1, 8)
	wide := b.conv(deep, 16, 5, 1, 1)
	b.g.Nodes[len(b.g.Nodes)-1].Attrs = []*graph.Attr{list("dilations", 2, 1), list("pads", 1, 0, 2, 3)}
	b.known[wide] = []int64{1, 16, 8 + 3 - 8, 7 + 3 - 4}
	m := b.ends(b.conv(wide, 4, 1, 1, 1))
	n := Trace(m.Graph, b.known)
	if len(n.Convs()) != 6 {
		t.Fatalf("%d convolutions are understood", len(n.Convs()))
	}
	left, err := n.Apply(nil, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	s := Sampling{Positions: 30, Turn: "turn"}
	g, taps := n.RefitProbe(left, nil, n.Convs(), s)
	plain, squares := n.MomentProbe(n.Convs(), s)
	sums, alone := make([]Moments, len(taps)), make([]Moments, len(squares))
	for turn := range 40 {
		in := map[string][]float32{"x": b.values(4*15*14, 1), "turn": {float32(turn)}}
		for i, v := range compute(t, b, g, taps, in) {
			sums[i].Add(v)
		}
		for i, v := range compute(t, b, plain, squares, in) {
			alone[i].Add(v)
		}
	}
	for i, c := range n.Convs() {
		h, towards := sums[2*i], sums[2*i+1]
		if far(h, alone[i]) > 1e-5 {
			t.Errorf("%s: the probes' moments differ by %v", c.Name, far(h, alone[i]))
		}
		k, outs := c.Columns()+1, c.partOuts()
		var through []float32
		for p := range c.parts {
			rows := c.rows(p, c.Original())
			for a := range k {
				for o := range outs {
					sum := 0.0
					for j := range k {
						sum += float64(h[(p*k+a)*k+j]) * rows.At(o, j)
					}
					through = append(through, float32(sum))
				}
			}
		}
		if d := far(towards, through); d > 1e-4 {
			t.Errorf("%s: what came out is not what went in, weighed: off by %v", c.Name, d)
		}
		w, err := c.Refit(h, towards, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := far(c.weights, w.Of); d > 1e-2 {
			t.Errorf("%s: weights moved by %v with nothing gone", c.Name, d)
		}
	}
}

// Refit is ridge regression towards the weights that were.
func TestRefitIsLeastSquares(t *testing.T) {
	n, c, _ := pair(4, 6, 3)
	without := Set{n.Groups[0].Classes[1]: true, n.Groups[0].Classes[4]: true}
	rng := rand.New(rand.NewPCG(9, 9))
	const rows, outs = 200, 3
	k := 4*c.taps() + 1
	a, y := mat.NewDense(rows, k, nil), mat.NewDense(rows, outs, nil)
	for i := range rows {
		for j := range k - 1 {
			a.Set(i, j, rng.NormFloat64())
		}
		a.Set(i, k-1, 1)
		for j := range outs {
			y.Set(i, j, rng.NormFloat64())
		}
	}
	moments := func(x, y mat.Matrix) (m Moments) {
		var p mat.Dense
		p.Mul(x.T(), y)
		for _, v := range p.RawMatrix().Data {
			m = append(m, float32(v))
		}
		return m
	}
	h := moments(a, a)
	w, err := c.Refit(h, moments(a, y), without)
	if err != nil {
		t.Fatal(err)
	}
	// The same with rows for the ridge: √d·w = √d·own.
	mean := 0.0
	for i := range k - 1 {
		mean += float64(h[i*k+i]) / float64(k-1)
	}
	tall, right := mat.NewDense(rows+k-1, k, nil), mat.NewDense(rows+k-1, outs, nil)
	tall.Copy(a)
	right.Copy(y)
	stay, root := kept(c.ins, without), math.Sqrt(Ridge*mean)
	for i := range k - 1 {
		tall.Set(rows+i, i, root)
		for o := range outs {
			right.Set(rows+i, o, root*float64(c.weights[o*c.Columns()+stay[i/c.taps()]*c.taps()+i%c.taps()]))
		}
	}
	var want mat.Dense
	if err := want.Solve(tall, right); err != nil {
		t.Fatal(err)
	}
	for o := range outs {
		for i := range k - 1 {
			got := float64(w.Of[o*c.Columns()+stay[i/c.taps()]*c.taps()+i%c.taps()])
			if math.Abs(got-want.At(i, o)) > 1e-4 {
				t.Fatalf("weight %d of output %d is %v, least squares give %v", i, o, got, want.At(i, o))
			}
		}
		if math.Abs(float64(w.Bias[o])-want.At(k-1, o)) > 1e-4 {
			t.Errorf("bias %d is %v, least squares give %v", o, w.Bias[o], want.At(k-1, o))
		}
	}
}

// A plan begins with what loses least for what it saves, goes by blocks, and never
// takes what was not measured.
func TestPlan(t *testing.T) {
	b := newBuilder(1, 3, 8, 8)
	m := b.ends(b.conv(b.conv(b.conv("x", 48, 1, 1, 1), 48, 1, 1, 1), 4, 1, 1, 1))
	n := Trace(m.Graph, b.known)
	order := rand.New(rand.NewPCG(1, 1)).Perm(48)
	measured := []Measured{{Order: order, Losses: []Loss{{16, .5}, {32, .6}}}, {Order: order, Losses: []Loss{{16, .01}, {32, 9}}}}
	steps := n.Plan(measured, 16, 16)
	var counts [][]int
	for i, s := range steps {
		counts = append(counts, s.Counts)
		if left := n.MACs(n.Without(measured, s.Counts)); left != s.MACs {
			t.Errorf("step %d says that %d multiply-adds are left of it, not %d", i, s.MACs, left)
		}
		if i > 0 && (s.MACs >= steps[i-1].MACs || s.Loss < steps[i-1].Loss) {
			t.Errorf("step %d: %+v after %+v", i, s, steps[i-1])
		}
	}
	want := [][]int{{0, 0}, {0, 16}, {32, 16}, {32, 32}}
	if !slices.EqualFunc(counts, want, slices.Equal) {
		t.Errorf("%v, not %v", counts, want)
	}
	if steps := n.Plan(make([]Measured, 2), 16, 16); len(steps) != 1 {
		t.Errorf("%d steps of what nothing is known of", len(steps))
	}
	// Half a block of what comes out saves nothing by itself, and of what goes in half.
	fine := []Measured{{Order: order, Losses: []Loss{{8, .1}, {16, .2}}}, {Order: order, Losses: []Loss{{8, .1}, {16, .3}}}}
	if steps := n.Plan(fine, 8, 16); !slices.Equal(steps[1].Counts, []int{16, 0}) || !slices.Equal(steps[len(steps)-1].Counts, []int{16, 16}) {
		t.Errorf("in halves: %+v", steps)
	}
	for _, m := range []Measured{{Order: []int{1, 1}}, {Order: []int{48}}, {Order: []int{0}, Losses: []Loss{{2, 1}}}, {Order: []int{0}, Losses: []Loss{{1, math.NaN()}}}} {
		if m.Fits(n.Groups[0]) {
			t.Errorf("%+v fits", m)
		}
	}
}

// Moments that are not finite end in an error, singular ones in weights.
func TestBadMoments(t *testing.T) {
	_, c, m := pair(1, 5, 1)
	m[3] = float32(math.NaN())
	if _, err := c.Invert(m); err == nil {
		t.Error("moments that are no numbers are inverted")
	}
	none := make(Moments, len(m))
	if _, err := c.Invert(none); err != nil {
		t.Errorf("a picture of nothing: %v", err)
	}
}
