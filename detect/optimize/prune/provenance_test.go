package prune

import (
	"testing"

	"sightline/detect/optimize/graph"
)

// Graphs in which channels are easily lost track of: each loses so many of its
// channels and still computes the same, or keeps those that cannot be followed.
func TestChannelsAreNotLostTrackOf(t *testing.T) {
	end := func(b *builder, values ...string) *graph.Model {
		for i, v := range values {
			values[i] = b.conv(v, 4, 3, 1, 1)
		}
		return b.ends(values...)
	}
	text := func(name, value string) *graph.Attr {
		return &graph.Attr{Name: name, Type: graph.String, S: []byte(value)}
	}
	resize := func(b *builder, x string, inputs ...string) string {
		return b.node("Resize", []int64{1, 16, 24, 24}, []*graph.Attr{text("mode", "nearest")}, append([]string{x, ""}, inputs...)...)
	}
	for name, c := range map[string]struct {
		classes int
		make    func(b *builder, x, y string) *graph.Model // of two values [1, 16, 16, 16] that two convolutions made
	}{
		"lists crossed": {16, func(b *builder, x, y string) *graph.Model {
			d := []int64{1, 32, 16, 16}
			return end(b, b.node("Add", d, nil, b.join(x, y), b.join(y, x)))
		}},
		"twice in a list": {32, func(b *builder, x, y string) *graph.Model { return end(b, b.join(x, y, x)) }},
		"shifted against itself": {1, func(b *builder, x, _ string) *graph.Model {
			cut := func(from, to int64) string {
				return b.node("Slice", []int64{1, 15, 16, 16}, nil, x, b.whole(from), b.whole(to), b.whole(1))
			}
			return end(b, b.node("Add", []int64{1, 15, 16, 16}, nil, cut(0, 15), cut(1, 16)))
		}},
		"spread over places": {16, func(b *builder, x, y string) *graph.Model {
			mean := b.node("GlobalAveragePool", []int64{1, 16, 1, 1}, nil, y)
			return end(b, b.node("Mul", b.known[x], nil, mean, x))
		}},
		"spread over channels": {32, func(b *builder, x, y string) *graph.Model {
			return end(b, b.node("Mul", b.known[x], nil, b.conv(y, 1, 1, 1, 1), x))
		}},
		"a number for each channel": {16, func(b *builder, x, _ string) *graph.Model {
			return end(b, b.node("Sub", b.known[x], nil, b.constant([]int64{16, 1, 1}, b.values(16, 1)), x))
		}},
		"a number for each column": {16, func(b *builder, x, _ string) *graph.Model {
			return end(b, b.node("Mul", b.known[x], nil, x, b.constant([]int64{16}, b.values(16, 1))))
		}},
		"a number for each of everything": {16, func(b *builder, x, _ string) *graph.Model {
			return end(b, b.node("Add", b.known[x], nil, b.constant([]int64{1, 16, 16, 16}, b.values(16*16*16, 1)), x))
		}},
		"one number becomes many": {16, func(b *builder, x, _ string) *graph.Model {
			one := b.conv(x, 1, 1, 1, 1)
			return end(b, b.node("Mul", []int64{1, 16, 16, 16}, nil, one, b.constant([]int64{16, 1, 1}, b.values(16, 1))))
		}},
		"weights that two share": {32, func(b *builder, x, y string) *graph.Model {
			first := b.conv(x, 8, 3, 1, 1)
			second := b.conv(y, 8, 3, 1, 1)
			n := len(b.g.Nodes)
			b.g.Nodes[n-1].Inputs = append([]string{y}, b.g.Nodes[n-2].Inputs[1:]...)
			return b.ends(first, second)
		}},
		"a constant for scale and variance": {16, func(b *builder, x, _ string) *graph.Model {
			v := b.values(16, 1)
			for i := range v {
				v[i] = 1 + v[i]*v[i]
			}
			same := b.constant([]int64{16}, v)
			return end(b, b.node("BatchNormalization", b.known[x], nil, x, same, same, same, same))
		}},
		"an output that is also used": {16, func(b *builder, x, y string) *graph.Model {
			r := b.node("Relu", b.known[x], nil, x)
			return b.ends(r, b.conv(r, 4, 1, 1, 1), b.conv(y, 4, 1, 1, 1))
		}},
		"pictures cut off": {16, func(b *builder, x, y string) *graph.Model {
			return end(b, b.node("Slice", b.known[x], nil, x, b.whole(0), b.whole(1), b.whole(0)), y)
		}},
		"channels backwards": {16, func(b *builder, x, y string) *graph.Model {
			return end(b, b.node("Slice", b.known[x], nil, x, b.whole(15), b.whole(-17), b.whole(1), b.whole(-1)), y)
		}},
		"scaled": {16, func(b *builder, x, _ string) *graph.Model {
			return end(b, resize(b, x, b.constant([]int64{4}, []float32{1, 1, 1.5, 1.5})))
		}},
		"scaled over channels": {16, func(b *builder, x, y string) *graph.Model {
			return end(b, resize(b, x, b.constant([]int64{4}, []float32{1, 1.05, 1.5, 1.5})), y)
		}},
		"scaled to a size": {16, func(b *builder, x, y string) *graph.Model {
			return end(b, resize(b, x, "", b.whole(1, 16, 24, 24)), y)
		}},
		"several to a group": {8, func(b *builder, x, _ string) *graph.Model { return end(b, b.conv(x, 16, 3, 1, 4)) }},
		"groups of a crossed list": {8 + 2, func(b *builder, x, y string) *graph.Model {
			return end(b, b.conv(b.join(y, x), 8, 3, 1, 4))
		}},
		"two of each": {16, func(b *builder, x, _ string) *graph.Model { return end(b, b.conv(x, 32, 3, 1, 16)) }},
		"unequal parts": {32, func(b *builder, x, y string) *graph.Model {
			parts := b.split(b.join(x, y), 5, 20, 7)
			return end(b, b.join(parts[2], parts[0]), parts[1])
		}},
		"a shuffle": {16, func(b *builder, x, y string) *graph.Model {
			s := b.node("Reshape", []int64{1, 4, 4, 16, 16}, nil, x, b.whole(1, 4, 4, 16, 16))
			s = b.node("Transpose", b.known[s], []*graph.Attr{list("perm", 0, 2, 1, 3, 4)}, s)
			return end(b, b.node("Reshape", b.known[x], nil, s, b.whole(1, 16, 16, 16)), y)
		}},
		"a shape that another takes": {0, func(b *builder, x, y string) *graph.Model {
			shape := b.node("Shape", []int64{4}, nil, x)
			return end(b, x, b.node("Reshape", b.known[x], nil, y, shape))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(5, 3, 16, 16)
			x := b.conv("x", 16, 3, 1, 1)
			m := c.make(b, x, b.conv("x", 16, 3, 1, 1))
			m.Graph.Sweep()
			n := Trace(m.Graph, b.known)
			classes := 0
			for _, g := range n.Groups {
				classes += len(g.Classes)
			}
			if classes != c.classes {
				t.Errorf("%d classes may go, not %d: %s", classes, c.classes, n.Describe())
			}
			for seed := range uint64(3) {
				same(t, b, n, some(n, b.rng, 6), seed)
			}
		})
	}
}

// Lists that double with each node, and wide values without end, end at a bound:
// what is behind is left alone.
func TestFollowingIsBounded(t *testing.T) {
	b := newBuilder(1, 1, 1, 1)
	x := b.conv("x", 16, 1, 1, 1)
	first := x
	for range 40 {
		x = b.join(x, x)
	}
	y := b.node("Relu", []int64{1, 1 << 16, 1, 1}, nil, b.node("Foreign", []int64{1, 1 << 16, 1, 1}, nil, first))
	for range 2000 {
		y = b.node("Relu", b.known[y], nil, y)
	}
	behind := b.conv("x", 16, 1, 1, 1)
	n := Trace(b.ends(b.conv(behind, 4, 1, 1, 1), y, x).Graph, b.known)
	total := 0
	for _, list := range n.lists {
		total += len(list)
	}
	if total > maxFollowed+maxChannels || len(n.Groups) != 0 {
		t.Errorf("%d channels are followed; %s", total, n.Describe())
	}
}

// Convolutions that share weights hold them once: a small file does not fill memory.
func TestSharedWeightsAreHeldOnce(t *testing.T) {
	b := newBuilder(1, 8, 4, 4)
	x := b.conv("x", 8, 1, 1, 1)
	shared := b.g.Nodes[0].Inputs[1:]
	for range 5 {
		x = b.node("Conv", []int64{1, 8, 4, 4}, []*graph.Attr{list("kernel_shape", 1, 1)}, append([]string{x}, shared...)...)
	}
	m := b.ends(x)
	n := Trace(m.Graph, b.known)
	if len(n.Convs()) != 6 {
		t.Fatalf("%d convolutions are understood", len(n.Convs()))
	}
	for _, c := range n.Convs() {
		if &c.weights[0] != &n.Convs()[0].weights[0] {
			t.Errorf("%s has weights of its own", c.Name)
		}
	}
}
