package prune

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
)

// bottleneck is YOLOv8's C2f.
func (b *builder) bottleneck(x string, out int64, shortcut bool) string {
	half := out / 2
	parts := b.split(b.silu(b.conv(x, out, 1, 1, 1)), half, half)
	last := parts[1]
	for range 2 {
		y := b.silu(b.conv(b.silu(b.conv(last, half, 3, 1, 1)), half, 3, 1, 1))
		if shortcut {
			y = b.node("Add", b.known[y], nil, last, y)
		}
		parts, last = append(parts, y), y
	}
	return b.silu(b.conv(b.join(parts...), out, 1, 1, 1))
}

// yoloShaped has what YOLOv8 exports have: C2f, SPPF, a top-down path, and heads with
// distributions for boxes, joined into one output.
func yoloShaped(seed uint64) (*builder, *graph.Model) {
	b := newBuilder(seed, 3, 64, 64)
	x := b.silu(b.conv("x", 32, 3, 2, 1))
	fine := b.bottleneck(b.silu(b.conv(x, 64, 3, 2, 1)), 64, true)
	coarse := b.bottleneck(b.silu(b.conv(fine, 64, 3, 2, 1)), 64, true)
	a := b.silu(b.conv(coarse, 32, 1, 1, 1))
	pool := []*graph.Attr{list("kernel_shape", 5, 5), list("pads", 2, 2, 2, 2)}
	p1 := b.node("MaxPool", b.known[a], pool, a)
	coarse = b.silu(b.conv(b.join(a, p1, b.node("MaxPool", b.known[a], pool, p1)), 64, 1, 1, 1))
	fine = b.bottleneck(b.join(b.twice(coarse), fine), 64, false)
	var maps []string
	cells := int64(0)
	for _, f := range []string{fine, coarse} {
		box := b.conv(b.silu(b.conv(f, 32, 3, 1, 1)), 64, 1, 1, 1)
		score := b.conv(b.silu(b.conv(f, 32, 3, 1, 1)), 10, 1, 1, 1)
		y := b.join(box, score)
		n := b.known[y][2] * b.known[y][3]
		cells += n
		maps = append(maps, b.node("Reshape", []int64{1, 74, n}, nil, y, b.whole(1, 74, -1)))
	}
	all := b.node("Concat", []int64{1, 74, cells}, []*graph.Attr{num("axis", 2)}, maps...)
	parts := &graph.Node{Op: "Split", Name: "parts", Inputs: []string{all, b.whole(64, 10)}, Outputs: []string{"bins", "scores"}, Attrs: []*graph.Attr{num("axis", 1)}}
	b.g.Nodes = append(b.g.Nodes, parts)
	b.known["bins"], b.known["scores"] = []int64{1, 64, cells}, []int64{1, 10, cells}
	bins := b.node("Reshape", []int64{1, 4, 16, cells}, nil, "bins", b.whole(1, 4, 16, cells))
	bins = b.node("Transpose", []int64{1, 16, 4, cells}, []*graph.Attr{list("perm", 0, 2, 1, 3)}, bins)
	soft := b.node("Softmax", []int64{1, 16, 4, cells}, []*graph.Attr{num("axis", 1)}, bins)
	sides := b.node("Reshape", []int64{1, 4, cells}, nil, b.conv(soft, 1, 1, 1, 1), b.whole(1, 4, cells))
	score := b.node("Sigmoid", []int64{1, 10, cells}, nil, "scores")
	return b, b.ends(b.node("Concat", []int64{1, 14, cells}, []*graph.Attr{num("axis", 1)}, sides, score))
}

// mobile has depthwise convolutions with more and fewer channels around them, and a
// branch that weighs channels.
func mobile(seed uint64) (*builder, *graph.Model) {
	b := newBuilder(seed, 3, 32, 32)
	x := b.node("Relu", nil, nil, b.conv("x", 32, 3, 2, 1))
	b.known[x] = b.known[b.g.Nodes[len(b.g.Nodes)-1].Inputs[0]]
	for i := range 3 {
		wide := b.clip(b.conv(x, 64, 1, 1, 1))
		deep := b.clip(b.conv(wide, 64, 3, 1, 64))
		d := b.known[deep]
		mean := b.node("GlobalAveragePool", []int64{1, d[1], 1, 1}, nil, deep)
		weigh := b.node("HardSigmoid", []int64{1, d[1], 1, 1}, nil, b.conv(b.node("Relu", []int64{1, 32, 1, 1}, nil, b.conv(mean, 32, 1, 1, 1)), 64, 1, 1, 1))
		y := b.conv(b.node("Mul", d, nil, deep, weigh), 32, 1, 1, 1)
		if i > 0 {
			y = b.node("Add", b.known[y], nil, x, y)
		}
		x = y
	}
	return b, b.ends(b.conv(x, 12, 3, 1, 1))
}

func (b *builder) clip(x string) string {
	return b.node("Clip", b.known[x], nil, x, b.constant([]int64{}, []float32{0}), b.constant([]int64{}, []float32{6}))
}

// mixed chains operators of all kinds at random.
func mixed(seed uint64) (*builder, *graph.Model) {
	b := newBuilder(seed, 3, 20, 24)
	x := b.conv("x", 32, 3, 2, 1)
	before := x
	for range 9 {
		d := b.known[x]
		per := []int64{d[1]}
		plain := func(op string, attrs ...*graph.Attr) string { return b.node(op, d, attrs, x) }
		positive := func() []float32 {
			v := b.values(int(d[1]), .2)
			for i := range v {
				v[i] = 1 + v[i]*v[i]
			}
			return v
		}
		switch k := b.rng.IntN(17); k {
		case 0:
			x = plain("LeakyRelu")
		case 1:
			x = plain("HardSwish")
		case 2:
			x = b.silu(x)
		case 3:
			x = b.node("BatchNormalization", d, nil, x, b.constant(per, positive()), b.constant(per, b.values(int(d[1]), 1)), b.constant(per, b.values(int(d[1]), 1)), b.constant(per, positive()))
		case 4:
			x = b.node("PRelu", d, nil, x, b.constant([]int64{d[1], 1, 1}, b.values(int(d[1]), .3)))
		case 5:
			x = b.node("MaxPool", d, []*graph.Attr{list("kernel_shape", 3, 3), list("pads", 1, 1, 1, 1)}, x)
		case 6:
			x = b.node("AveragePool", d, []*graph.Attr{list("kernel_shape", 3, 3), list("pads", 1, 1, 1, 1)}, x)
		case 7:
			x = b.conv(x, d[1], 3, 1, d[1])
		case 8:
			x = b.conv(x, 2*d[1], 3, 1, 4)
		case 9:
			x = b.bottleneck(x, 32, b.rng.IntN(2) == 0)
		case 10:
			x = b.node("Mul", d, nil, x, b.constant([]int64{1, d[1], 1, 1}, positive()))
		case 11:
			x = b.node("Sub", d, nil, b.constant([]int64{1}, []float32{2}), x)
		case 12:
			x = b.node("Pad", []int64{1, d[1], d[2] + 1, d[3] + 2}, nil, x, b.whole(0, 0, 1, 0, 0, 0, 0, 2))
		case 13:
			x = b.node("Slice", []int64{1, d[1], d[2], d[3] - 1}, nil, x, b.whole(0), b.whole(-1), b.whole(3))
		case 14:
			from := int64(1 + b.rng.IntN(7))
			x = b.node("Slice", []int64{1, d[1] - 8, d[2] - 1, d[3]}, nil, x, b.whole(1, from), b.whole(1<<40, from-8), b.whole(2, 1))
		default:
			x = b.conv(x, 32, 1+2*int64(b.rng.IntN(2)), 1, 1)
		}
		if e := b.known[before]; b.rng.IntN(3) == 0 && slices.Equal(b.known[x], e) {
			x = b.node([]string{"Add", "Mul", "Sub"}[b.rng.IntN(3)], e, nil, x, before)
		}
		if b.known[x][1] > 64 || b.rng.IntN(2) == 0 {
			x = b.conv(x, 32, 1, 1, 1)
			before = x
		}
	}
	return b, b.ends(b.conv(x, 6, 1, 1, 1))
}

// some draws channels to go, at most most of each eight of a group.
func some(n *Net, rng *rand.Rand, most int) Set {
	without := Set{}
	for _, g := range n.Groups {
		for _, k := range rng.Perm(len(g.Classes))[:len(g.Classes)*rng.IntN(most+1)/8] {
			without[g.Classes[k]] = true
		}
	}
	return without
}

// Networks without channels compute what they do with weights of zero for those
// channels, whatever the weights of the rest became; what they lose they lose in
// multiply-adds too.
func TestWithoutIsZeroWeights(t *testing.T) {
	for name, network := range map[string]func(uint64) (*builder, *graph.Model){"yolo": yoloShaped, "mobile": mobile, "mixed": mixed} {
		gone, seeds := 0, uint64(3)
		if name == "mixed" {
			seeds = 40
		}
		for seed := range seeds {
			b, m := network(seed)
			n := Trace(m.Graph, b.known)
			rng := rand.New(rand.NewPCG(seed, 5))
			without := some(n, rng, 6)
			gone += len(without)
			left := same(t, b, n, without, seed)
			if a, z := n.MACs(nil), n.MACs(without); len(without) > 0 && z >= a {
				t.Errorf("%s %d: %d multiply-adds of %d are left", name, seed, z, a)
			}
			again := Trace(left, dimensions(b, n, without))
			if z := again.MACs(nil); z != n.MACs(without) {
				t.Errorf("%s %d: it was to have %d multiply-adds and has %d", name, seed, n.MACs(without), z)
			}
		}
		if gone < 100 {
			t.Errorf("%s: only %d channels went", name, gone)
		}
	}
}

// same makes a network without channels, whatever the weights of the rest become, and
// holds it against what weights of zero for those channels compute.
func same(t *testing.T, b *builder, n *Net, without Set, seed uint64) *graph.Graph {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 6))
	weights := map[string]Weights{}
	for _, c := range n.Convs() {
		w := Weights{slices.Clone(c.weights), slices.Clone(c.bias)}
		for i := range w.Of {
			part := i / c.Columns() / c.partOuts()
			if w.Of[i] += float32(rng.NormFloat64() * .05); !c.depthwise() && without[c.partIns(part)[i%c.Columns()/c.taps()]] {
				w.Of[i] = 0
			}
		}
		weights[c.Name] = w
	}
	full, err := n.Apply(nil, weights, true)
	if err != nil {
		t.Fatal(err)
	}
	left, err := n.Apply(without, weights, true)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	in := map[string][]float32{"x": b.values(int(b.known["x"][1]*b.known["x"][2]*b.known["x"][3]), 1)}
	want := compute(t, b, full, outputsOf(b, full), in)
	got := compute(t, b, left, outputsOf(b, left), in)
	for i := range want {
		if d := far(want[i], got[i]); !(d <= 1e-4) {
			t.Errorf("seed %d: off by %v of the largest", seed, d)
		}
	}
	return left
}

// dimensions are those of a network without channels.
func dimensions(b *builder, n *Net, without Set) map[string][]int64 {
	out := map[string][]int64{}
	for name, dims := range b.known {
		out[name] = slices.Clone(dims)
		if list := n.lists[name]; list != nil {
			out[name][1] = int64(len(kept(list, without)))
		}
	}
	return out
}

// A network of YOLOv8's shape may lose most channels of its body, and none that its
// decoding needs; onnx's own checker accepts what is left of it.
func TestYOLOShapedStaysValid(t *testing.T) {
	python := testkit.Dep(t, "venv/bin/python")
	b, m := yoloShaped(1)
	n := Trace(m.Graph, b.known)
	if text := n.Describe(); !strings.Contains(text, "in front of Reshape") || len(n.Groups) < 25 {
		t.Errorf("%d groups; %s", len(n.Groups), text)
	}
	without := Set{}
	for _, g := range n.Groups {
		for _, class := range g.Classes[:len(g.Classes)/2] {
			without[class] = true
		}
	}
	left, err := n.Apply(without, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if a, z := n.MACs(nil), n.MACs(without); z > a*4/10 {
		t.Errorf("%d of %d multiply-adds are left", z, a)
	}
	path := filepath.Join(t.TempDir(), "left.onnx")
	if err := os.WriteFile(path, b.model(left).Write(), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "import onnx, sys; m = onnx.load(sys.argv[1]); m.graph.name = 'left'; onnx.checker.check_model(m, full_check=True)"
	if out, err := exec.CommandContext(t.Context(), python, "-c", script, path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
