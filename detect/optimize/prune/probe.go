package prune

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"sightline/detect/optimize/graph"
)

// Tap is a value inside a network that is asked for.
type Tap struct {
	Name string
	Dims []int64
}

// Sampling says what of a picture is looked at.
type Sampling struct {
	Positions int // of each convolution's output, at most
	// Turn names an input, one 32-bit float, that counts pictures: others have other
	// positions, until they repeat.
	Turn string
	// Weight names values [1, 1, height, width] of the network that tell where
	// something is: a position there counts 1 + Gain·value.
	Weight []string
	Gain   float32
}

// MomentProbe makes a network that computes from a picture, for each convolution c
// and each part of it, the second moments of what goes into it: A·Aᵀ of [columns +
// 1, positions], the last row being ones for the bias. Zeros that pad a picture are
// part of it. The taps are [parts, columns + 1, columns + 1].
func (n *Net) MomentProbe(convs []*Conv, s Sampling) (*graph.Graph, []Tap) {
	g, _ := duplicate(n.Graph)
	p := probe{g: g, s: s}
	g.Outputs = nil
	for _, c := range convs {
		at := c.positions(s.Positions)
		a := p.columns(c, c.node.Inputs[0], c.depth(), c.parts, at)
		k := int64(c.Columns() + 1)
		p.tap(p.node("MatMul", p.weighted(c, a, at), p.turned(a)), int64(c.parts), k, k)
	}
	g.Sweep()
	return g, p.taps
}

// RefitProbe makes a network that computes a picture both as it was and as it is
// without some channels; for each convolution the taps are the moments A·Aᵀ of what
// goes into what is left of it, and A·Yᵀ, with Y what came out of the original.
// left is what Apply made, none of whose nodes may change.
func (n *Net) RefitProbe(left *graph.Graph, without Set, convs []*Conv, s Sampling) (*graph.Graph, []Tap) {
	g, _ := duplicate(n.Graph)
	p := probe{g: g, s: s}
	g.Outputs = nil
	renamed := p.graft(left)
	for _, c := range convs {
		at := c.positions(s.Positions)
		depth, parts, outs := c.remains(without)
		a := p.columns(c, renamed[c.node.Inputs[0]], depth, parts, at)
		k := int64(depth*c.taps() + 1)
		weighted := p.weighted(c, a, at)
		p.tap(p.node("MatMul", weighted, p.turned(a)), int64(parts), k, k)
		y := p.outputs(c, kept(c.outs, without), parts, at)
		p.tap(p.node("MatMul", weighted, p.turned(y)), int64(parts), k, int64(outs))
	}
	g.Sweep()
	return g, p.taps
}

// remains is what a convolution is like without some channels: inputs of a part, parts,
// outputs of a part.
func (c *Conv) remains(without Set) (depth, parts, outs int) {
	if c.depthwise() {
		return 1, len(kept(c.ins, without)), c.partOuts()
	}
	return len(kept(c.partIns(0), without)), c.parts, len(kept(c.outs, without)) / c.parts
}

// turns is after how many pictures positions repeat.
const turns = 16

// positions are places in a convolution's output: all, or some that are drawn for
// each turn by its name.
func (c *Conv) positions(most int) [][]int {
	total := c.oh * c.ow
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	rng := rand.New(rand.NewPCG(h.Sum64(), 7))
	var all [][]int
	for len(all) < turns {
		at := slices.Clone(rng.Perm(total)[:min(total, most)]) // the rest of a large picture is not held
		slices.Sort(at)
		all = append(all, at)
		if total <= most {
			break
		}
	}
	return all
}

// probe adds nodes to a graph.
type probe struct {
	g     *graph.Graph
	s     Sampling
	taps  []Tap
	count int
}

func (p *probe) name(what string) string {
	p.count++
	return fmt.Sprintf("probe/%s%d", what, p.count)
}

func (p *probe) node(op string, inputs ...string) string {
	return p.with(op, nil, inputs...)
}

func (p *probe) with(op string, attrs []*graph.Attr, inputs ...string) string {
	out := p.name(op)
	p.g.Nodes = append(p.g.Nodes, &graph.Node{Name: out, Op: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs})
	return out
}

func (p *probe) whole(values ...int64) string {
	t := graph.NewInt64(p.name("ints"), values...)
	p.g.Tensors[t.Name] = t
	return t.Name
}

func (p *probe) floats(dims []int64, values ...float32) string {
	t := graph.NewFloat32(p.name("floats"), dims, values)
	p.g.Tensors[t.Name] = t
	return t.Name
}

func (p *probe) tap(value string, dims ...int64) {
	p.taps = append(p.taps, Tap{value, dims})
	port := graph.Port{Name: value, Type: graph.F32}
	for _, d := range dims {
		port.Dims = append(port.Dims, graph.Dim{Size: d})
	}
	p.g.Outputs = append(p.g.Outputs, port)
}

func axis(i int64) []*graph.Attr { return []*graph.Attr{{Name: "axis", Type: graph.Int, I: i}} }

// turned swaps the last two of three axes.
func (p *probe) turned(value string) string {
	return p.with("Transpose", []*graph.Attr{{Name: "perm", Type: graph.Ints, Is: []int64{0, 2, 1}}}, value)
}

// columns are the numbers under a convolution's window at some positions: [parts,
// depth·taps + 1, positions], the last being ones.
func (p *probe) columns(c *Conv, x string, depth, parts int, at [][]int) string {
	pad := int64(0)
	if rim := []int64{0, 0, int64(c.top), int64(c.left), 0, 0, int64(c.bottom), int64(c.rt)}; slices.Max(rim) > 0 {
		x = p.node("Pad", x, p.whole(rim...), p.floats([]int64{}, 0))
		pad = int64(c.left + c.rt)
	}
	width := int64(c.w) + pad
	index := p.drawn(at, func(o int) (places []int64) {
		for ky := range c.kh {
			for kx := range c.kw {
				y, x := o/c.ow*c.sy+ky*c.dy, o%c.ow*c.sx+kx*c.dx
				places = append(places, int64(y)*width+int64(x))
			}
		}
		return places
	})
	count := len(at[0])
	flat := p.node("Reshape", x, p.whole(int64(depth*parts), -1))
	seen := p.with("Gather", axis(1), flat, index)
	rows := p.node("Reshape", seen, p.whole(int64(parts), int64(depth*c.taps()), int64(count)))
	ones := p.floats([]int64{int64(parts), 1, int64(count)}, slices.Repeat([]float32{1}, parts*count)...)
	return p.with("Concat", axis(1), rows, ones)
}

func itself(o int) []int64 { return []int64{int64(o)} }

// drawn are the places that belong to the positions of a picture's turn, the first
// of all positions before the second of all.
func (p *probe) drawn(at [][]int, places func(o int) []int64) string {
	var values []int64
	for _, turn := range at {
		each := make([][]int64, len(turn))
		for i, o := range turn {
			each[i] = places(o)
		}
		for k := range each[0] {
			for i := range each {
				values = append(values, each[i][k])
			}
		}
	}
	if len(at) == 1 {
		return p.whole(values...)
	}
	t := graph.NewInt64(p.name("ints"), values...)
	t.Dims = []int64{int64(len(at)), int64(len(values) / len(at))}
	p.g.Tensors[t.Name] = t
	row := p.with("Gather", axis(0), t.Name, p.turn(len(at)))
	return p.node("Reshape", row, p.whole(-1))
}

// turn is which of the draws is a picture's.
func (p *probe) turn(of int) string {
	if p.s.Turn == "" {
		return p.whole(0)
	}
	if !slices.ContainsFunc(p.g.Inputs, func(in graph.Port) bool { return in.Name == p.s.Turn }) {
		p.g.Inputs = append(p.g.Inputs, graph.Port{Name: p.s.Turn, Type: graph.F32, Dims: []graph.Dim{{Size: 1}}})
	}
	whole := p.with("Cast", []*graph.Attr{{Name: "to", Type: graph.Int, I: int64(graph.I64)}}, p.s.Turn)
	return p.node("Mod", whole, p.whole(int64(of)))
}

// outputs are what some channels of the original convolution are at some positions:
// [parts, outputs of a part, positions].
func (p *probe) outputs(c *Conv, channels []int, parts int, at [][]int) string {
	y := p.node("Reshape", c.node.Outputs[0], p.whole(int64(len(c.outs)), -1))
	if len(channels) < len(c.outs) {
		list := make([]int64, len(channels))
		for i, c := range channels {
			list[i] = int64(c)
		}
		y = p.with("Gather", axis(0), y, p.whole(list...))
	}
	y = p.with("Gather", axis(1), y, p.drawn(at, itself))
	return p.node("Reshape", y, p.whole(int64(parts), int64(len(channels)/parts), int64(len(at[0]))))
}

// weighted makes positions count as much as they should.
func (p *probe) weighted(c *Conv, columns string, at [][]int) string {
	if len(p.s.Weight) == 0 {
		return columns
	}
	sum := ""
	none := p.floats([]int64{0})
	for _, w := range p.s.Weight {
		nearest := []*graph.Attr{
			{Name: "mode", Type: graph.String, S: []byte("nearest")},
			{Name: "coordinate_transformation_mode", Type: graph.String, S: []byte("half_pixel")},
		}
		w = p.with("Resize", nearest, w, none, none, p.whole(1, 1, int64(c.oh), int64(c.ow)))
		if sum != "" {
			w = p.node("Max", sum, w)
		}
		sum = w
	}
	seen := p.with("Gather", axis(2), p.node("Reshape", sum, p.whole(1, 1, -1)), p.drawn(at, itself))
	weight := p.node("Add", p.node("Mul", seen, p.floats([]int64{}, p.s.Gain)), p.floats([]int64{}, 1))
	return p.node("Mul", columns, weight)
}

// graft adds another graph's nodes under names of their own and returns what its
// values are called here; inputs are shared.
func (p *probe) graft(other *graph.Graph) map[string]string {
	names := map[string]string{"": ""}
	for _, in := range other.Inputs {
		names[in.Name] = in.Name
	}
	for name, t := range other.Tensors {
		c := *t
		c.Name = "left/" + name
		p.g.Tensors[c.Name], names[name] = &c, c.Name
	}
	for _, node := range other.Nodes {
		c := *node
		c.Name, c.Inputs, c.Outputs = "left/"+node.Name, slices.Clone(node.Inputs), slices.Clone(node.Outputs)
		for i, in := range c.Inputs {
			c.Inputs[i] = names[in]
		}
		for i, out := range c.Outputs {
			if out != "" {
				names[out] = "left/" + out
				c.Outputs[i] = names[out]
			}
		}
		p.g.Nodes = append(p.g.Nodes, &c)
	}
	return names
}
