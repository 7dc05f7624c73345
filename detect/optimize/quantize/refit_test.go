package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"sightline/detect/optimize/graph/graphtest"
)

// A convolution whose input was changed finds weights that give what it gave before.
func TestFittingUndoesWhatChanged(t *testing.T) {
	const in, out, places = 4, 3, 500
	rng := rand.New(rand.NewPCG(3, 3))
	b := graphtest.New(in)
	b.Node("Conv", []string{"x", b.Constant([]int64{out, in, 1, 1}, b.Values(in*out)), b.Constant([]int64{out}, b.Values(out))})
	m := b.Model()
	c := m.Graph.Conv(m.Graph.Nodes[0])
	was, bias := c.Weights.Float32s(), c.Bias(m.Graph)
	f := newFitting(m.Graph, c)
	for range 3 {
		x, y := make([]float32, in*places), make([]float32, out*places)
		for p := range places {
			for i := range in {
				v := float32(rng.NormFloat64())
				for k := range out {
					y[k*places+p] += was[k*in+i] * v
				}
				x[i*places+p] = v*float32(i+1)*.5 + .25 // what reaches it now
			}
			for k := range out {
				y[k*places+p] += bias[k]
			}
		}
		f.learn(x, y)
	}
	if !f.solve(m.Graph) {
		t.Fatal("not solved")
	}
	got := m.Graph.Conv(m.Graph.Nodes[0])
	for k := range out {
		shifted := float64(bias[k])
		for i := range in {
			want := float64(was[k*in+i]) / (float64(i+1) * .5)
			shifted -= want * .25
			if v := float64(got.Weights.Float32s()[k*in+i]); math.Abs(v-want) > .02*(1+math.Abs(want)) {
				t.Errorf("weight %d of %d is %v, want %v", i, k, v, want)
			}
		}
		if v := float64(got.Bias(m.Graph)[k]); math.Abs(v-shifted) > .05 {
			t.Errorf("bias %d is %v, want %v", k, v, shifted)
		}
	}
}

// Only what a leaky activation makes small is cut off, and only where that pays.
func TestHistogramCutsWhatCountsLess(t *testing.T) {
	values := make([]float32, 200_000)
	for i := range values {
		values[i] = float32(i%1000)/1000 - .5 // even within ±.5
	}
	values = append(values, -2)
	for slope, cut := range map[float64]bool{1: false, .1: true, 0: true} {
		h := histogram{Span: Span{-2, .5}, slope: slope}
		h.count(values)
		s := h.best()
		if s.High != .5 || (s.Low > -1.9) != cut {
			t.Errorf("slope %v: span %v", slope, s)
		}
	}
}

// A span is no wider than what is let through by all that use a value.
func TestSpanWithinWhatIsLetThrough(t *testing.T) {
	for name, c := range map[string]struct {
		make func(b *graphtest.Builder)
		want Span
	}{
		"relu": {func(b *graphtest.Builder) { b.Node("Relu", []string{"x"}) }, Span{0, 9}},
		"clip": {func(b *graphtest.Builder) {
			b.Node("Clip", []string{"x", b.Constant(nil, []float32{0}), b.Constant(nil, []float32{6})})
		}, Span{0, 6}},
		"two": {func(b *graphtest.Builder) {
			b.Node("Relu", []string{"x"})
			b.Node("Sigmoid", []string{"x"})
		}, Span{-3, 9}},
		"nothing": {func(b *graphtest.Builder) { b.Node("Clip", []string{"x", b.Constant(nil, []float32{20})}) }, Span{-3, 9}},
	} {
		b := graphtest.New(1)
		c.make(b)
		if got := (Span{-3, 9}).within(b.Model().Graph, "x"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
