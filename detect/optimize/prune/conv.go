package prune

import (
	"slices"

	"sightline/detect/optimize/graph"
)

// Conv is a convolution whose weights are constant.
type Conv struct {
	Name string // of its output

	node       *graph.Node
	weights    []float32 // [out, in of a part, height, width]
	bias       []float32
	parts      int // the operator's groups
	kh, kw     int
	h, w       int // of the input
	oh, ow     int // of the output
	top, left  int // padding
	sy, sx     int // strides
	dy, dx     int // dilations
	ins, outs  []int
	bottom, rt int // padding
}

// taps is the size of the window.
func (c *Conv) taps() int { return c.kh * c.kw }

// Taps is how many places of the input go into one of the output.
func (c *Conv) Taps() int { return c.taps() }

// depth is how many channels go into each output.
func (c *Conv) depth() int { return len(c.ins) / c.parts }

// Columns is how many weights each output has.
func (c *Conv) Columns() int { return c.depth() * c.taps() }

// Places is how many positions of its output are looked at in a picture.
func (c *Conv) Places(s Sampling) int { return min(s.Positions, c.oh*c.ow) }

// Room is how many 32-bit numbers a look at its Moments takes.
func (c *Conv) Room(s Sampling) int {
	moments, places := c.parts*(c.Columns()+1)*(c.Columns()+1), turns*c.taps()*c.Places(s)
	return moments + 2*places // which are 64-bit numbers
}

// depthwise tells a convolution that mixes no channels.
func (c *Conv) depthwise() bool { return c.parts == len(c.ins) && c.parts > 1 }

// partIns are the classes that part p takes.
func (c *Conv) partIns(p int) []int { return c.ins[p*c.depth() : (p+1)*c.depth()] }

// partOuts is how many outputs a part has.
func (c *Conv) partOuts() int { return len(c.outs) / c.parts }

func (c *Conv) macs(without Set) (sum int64) {
	area := int64(c.oh) * int64(c.ow) * int64(c.taps())
	if c.depthwise() {
		return area * int64(len(kept(c.outs, without)))
	}
	for p := range c.parts {
		outs := c.outs[p*c.partOuts() : (p+1)*c.partOuts()]
		sum += area * int64(len(kept(c.partIns(p), without))) * int64(len(kept(outs, without)))
	}
	return sum
}

// conv reads a convolution; nil where it is one that is not understood.
func (n *Net) conv(node *graph.Node) *Conv {
	w, bias, in := n.Graph.Tensors[node.Input(1)], n.Graph.Tensors[node.Input(2)], n.known[node.Input(0)]
	out, list := n.known[node.Outputs[0]], n.lists[node.Input(0)]
	switch {
	case w == nil || w.Type != graph.F32 || len(w.Dims) != 4 || w.Len() == 0 || len(in) != 4 || len(out) != 4 || list == nil:
		return nil
	case node.Input(2) != "" && (bias == nil || bias.Type != graph.F32 || bias.Len() != int(w.Dims[0])):
		return nil
	}
	c := &Conv{
		Name: node.Outputs[0], node: node, weights: n.floats(w), parts: int(node.Int("group", 1)), kh: int(w.Dims[2]), kw: int(w.Dims[3]),
		h: int(in[2]), w: int(in[3]), oh: int(out[2]), ow: int(out[3]), ins: slices.Clone(list),
	}
	outs := int(w.Dims[0])
	if c.parts < 1 || outs%c.parts != 0 || int(w.Dims[1])*c.parts != len(list) || !c.geometry() {
		return nil
	}
	if c.bias = make([]float32, outs); bias != nil {
		c.bias = bias.Float32s()
	}
	c.outs = n.fresh(outs)
	n.followed += len(c.ins) // of which others have a list too
	n.ties(c)
	return c
}

// floats are a tensor's numbers, once for all convolutions that share them.
func (n *Net) floats(t *graph.Tensor) []float32 {
	v, there := n.weights[t]
	if !there {
		v = t.Float32s()
		n.weights[t] = v
	}
	return v
}

// geometry reads how the window moves; false where it is otherwise than the known
// sizes say.
func (c *Conv) geometry() bool {
	pair := func(name string) (int, int) {
		if v := c.node.Ints(name); len(v) == 2 {
			return int(v[0]), int(v[1])
		}
		return 1, 1
	}
	c.sy, c.sx = pair("strides")
	c.dy, c.dx = pair("dilations")
	if min(c.sy, c.sx, c.dy, c.dx, c.h, c.w, c.oh, c.ow) < 1 || max(c.sy, c.sx, c.dy, c.dx) > 1<<10 {
		return false
	}
	auto := c.node.Text("auto_pad", "NOTSET")
	same := func(side, out, step, window int) (before, after int) {
		total := max(0, (out-1)*step+window-side)
		if auto == "SAME_LOWER" {
			return total - total/2, total / 2
		}
		return total / 2, total - total/2
	}
	wy, wx := c.dy*(c.kh-1)+1, c.dx*(c.kw-1)+1
	switch auto {
	case "SAME_UPPER", "SAME_LOWER":
		c.top, c.bottom = same(c.h, c.oh, c.sy, wy)
		c.left, c.rt = same(c.w, c.ow, c.sx, wx)
	case "NOTSET", "VALID":
		if p := c.node.Ints("pads"); len(p) == 4 && auto == "NOTSET" {
			c.top, c.left, c.bottom, c.rt = int(p[0]), int(p[1]), int(p[2]), int(p[3])
		}
	default:
		return false
	}
	fits := func(side, out, step, window, pad int) bool {
		return side+pad >= window && (side+pad-window)/step+1 == out
	}
	return min(c.top, c.left, c.bottom, c.rt) >= 0 && max(c.top, c.left, c.bottom, c.rt) < 1<<12 &&
		fits(c.h, c.oh, c.sy, wy, c.top+c.bottom) && fits(c.w, c.ow, c.sx, wx, c.left+c.rt)
}

// ties makes channels go together where the operator has several parts: of a
// depthwise one, what a part takes and makes; of others, those at the same place in
// all parts, so that these stay alike.
func (n *Net) ties(c *Conv) {
	outs := c.partOuts()
	switch {
	case c.depthwise():
		for i, out := range c.outs {
			n.union(out, c.ins[i/outs])
		}
	case c.parts > 1:
		for i, in := range c.ins {
			n.union(in, c.ins[i%c.depth()])
		}
		for i, out := range c.outs {
			n.union(out, c.outs[i%outs])
		}
	}
}
