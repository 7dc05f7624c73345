package prune

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"sightline/detect/optimize/graph"
	"sightline/internal/ort"
	"sightline/internal/testkit"
)

// builder makes a network with random weights and knows the dimensions of all values.
type builder struct {
	g     *graph.Graph
	rng   *rand.Rand
	known map[string][]int64
}

func newBuilder(seed uint64, channels, h, w int64) *builder {
	b := &builder{g: &graph.Graph{Tensors: map[string]*graph.Tensor{}}, rng: rand.New(rand.NewPCG(seed, 11)), known: map[string][]int64{}}
	b.g.Inputs = []graph.Port{{Name: "x", Type: graph.F32, Dims: []graph.Dim{{Size: 1}, {Size: channels}, {Size: h}, {Size: w}}}}
	b.known["x"] = []int64{1, channels, h, w}
	return b
}

func (b *builder) values(n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.rng.NormFloat64() * scale)
	}
	return v
}

func (b *builder) constant(dims []int64, v []float32) string {
	name := fmt.Sprintf("c%d", len(b.g.Tensors))
	b.g.Tensors[name] = graph.NewFloat32(name, dims, v)
	b.known[name] = dims
	return name
}

func (b *builder) whole(v ...int64) string {
	name := fmt.Sprintf("c%d", len(b.g.Tensors))
	b.g.Tensors[name] = graph.NewInt64(name, v...)
	return name
}

func (b *builder) node(op string, dims []int64, attrs []*graph.Attr, inputs ...string) string {
	out := fmt.Sprintf("%s%d", op, len(b.g.Nodes))
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Name: out, Op: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs})
	b.known[out] = dims
	return out
}

func num(name string, v int64) *graph.Attr { return &graph.Attr{Name: name, Type: graph.Int, I: v} }
func list(name string, v ...int64) *graph.Attr {
	return &graph.Attr{Name: name, Type: graph.Ints, Is: v}
}

// conv has a window of k × k, padded to keep sizes but for the stride.
func (b *builder) conv(x string, out, k, stride, groups int64) string {
	in := b.known[x]
	depth := in[1] / groups
	w := b.constant([]int64{out, depth, k, k}, b.values(int(out*depth*k*k), 1/math.Sqrt(float64(depth*k*k))))
	bias := b.constant([]int64{out}, b.values(int(out), .3))
	p := k / 2
	dims := []int64{1, out, (in[2]+2*p-k)/stride + 1, (in[3]+2*p-k)/stride + 1}
	attrs := []*graph.Attr{list("pads", p, p, p, p), list("strides", stride, stride), num("group", groups), list("kernel_shape", k, k)}
	return b.node("Conv", dims, attrs, x, w, bias)
}

func (b *builder) silu(x string) string {
	return b.node("Mul", b.known[x], nil, x, b.node("Sigmoid", b.known[x], nil, x))
}

func (b *builder) join(values ...string) string {
	dims := slices.Clone(b.known[values[0]])
	for _, v := range values[1:] {
		dims[1] += b.known[v][1]
	}
	return b.node("Concat", dims, []*graph.Attr{num("axis", 1)}, values...)
}

func (b *builder) split(x string, sizes ...int64) []string {
	n := &graph.Node{Name: fmt.Sprintf("Split%d", len(b.g.Nodes)), Op: "Split", Inputs: []string{x, b.whole(sizes...)}, Attrs: []*graph.Attr{num("axis", 1)}}
	for i, size := range sizes {
		out := fmt.Sprintf("%s/%d", n.Name, i)
		dims := slices.Clone(b.known[x])
		dims[1] = size
		n.Outputs, b.known[out] = append(n.Outputs, out), dims
	}
	b.g.Nodes = append(b.g.Nodes, n)
	return n.Outputs
}

func (b *builder) twice(x string) string {
	d := slices.Clone(b.known[x])
	d[2], d[3] = 2*d[2], 2*d[3]
	none := b.constant([]int64{0}, nil)
	return b.node("Resize", d, []*graph.Attr{{Name: "mode", Type: graph.String, S: []byte("nearest")}}, x, none, b.constant([]int64{4}, []float32{1, 1, 2, 2}))
}

func (b *builder) ends(values ...string) *graph.Model {
	for _, v := range values {
		p := graph.Port{Name: v, Type: graph.F32}
		for _, d := range b.known[v] {
			p.Dims = append(p.Dims, graph.Dim{Size: d})
		}
		b.g.Outputs = append(b.g.Outputs, p)
	}
	return b.model(b.g)
}

func (b *builder) model(g *graph.Graph) *graph.Model {
	m, err := graph.Read(append([]byte{0x08, 8}, (&graph.Model{Opsets: []graph.Opset{{Version: 17}}, Graph: g}).Write()...))
	if err != nil {
		panic(err)
	}
	return m
}

// compute runs a graph in ONNX Runtime.
func compute(t testing.TB, b *builder, g *graph.Graph, taps []Tap, inputs map[string][]float32) [][]float32 {
	t.Helper()
	lib, err := ort.Open(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	s, err := lib.NewSession(b.model(g).Write(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tensor := func(name string, dims []int64) (ort.Tensor, []float32) {
		n := 1
		for _, d := range dims {
			n *= int(d)
		}
		m, err := syscall.Mmap(-1, 0, 4*n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Munmap(m) })
		return ort.Tensor{Name: name, Type: ort.Float32, Dims: dims, Data: unsafe.Pointer(&m[0])}, unsafe.Slice((*float32)(unsafe.Pointer(&m[0])), n)
	}
	var ins, outs []ort.Tensor
	var values [][]float32
	for _, p := range g.Inputs {
		var dims []int64
		for _, d := range p.Dims {
			dims = append(dims, d.Size)
		}
		in, v := tensor(p.Name, dims)
		copy(v, inputs[p.Name])
		ins = append(ins, in)
	}
	for _, tap := range taps {
		out, v := tensor(tap.Name, tap.Dims)
		outs, values = append(outs, out), append(values, v)
	}
	bound, err := s.NewBinding(ins, outs)
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	if err := bound.Run(); err != nil {
		t.Fatal(err)
	}
	return values
}

// outputsOf are a graph's outputs as taps.
func outputsOf(b *builder, g *graph.Graph) (taps []Tap) {
	for _, p := range g.Outputs {
		taps = append(taps, Tap{p.Name, b.known[p.Name]})
	}
	return taps
}

// far is the largest difference of two lists, of the largest number in them.
func far(a, b []float32) float64 {
	most, off := 1e-12, 0.0
	for i := range a {
		most, off = max(most, math.Abs(float64(a[i]))), max(off, math.Abs(float64(a[i]-b[i])))
	}
	if len(a) != len(b) {
		return math.Inf(1)
	}
	return off / most
}
