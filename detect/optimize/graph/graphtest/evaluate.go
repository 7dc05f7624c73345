package graphtest

import (
	"math"
	"testing"

	"sightline/detect/optimize/graph"
)

// Picture is a value in a network: c planes of h × w.
type Picture struct {
	C, H, W int
	V       []float64
}

// At is 0 outside, as convolutions pad.
func (p Picture) At(c, y, x int) float64 {
	if y < 0 || x < 0 || y >= p.H || x >= p.W {
		return 0
	}
	return p.V[(c*p.H+y)*p.W+x]
}

func (p Picture) each(f func(c int, v float64) float64) Picture {
	out := Picture{p.C, p.H, p.W, make([]float64, len(p.V))}
	for i, v := range p.V {
		out.V[i] = f(i/(p.H*p.W), v)
	}
	return out
}

// Evaluate computes a network of few operators plainly, as the ONNX specification
// words them, in 64-bit floats.
func Evaluate(t *testing.T, g *graph.Graph, in Picture) Picture {
	t.Helper()
	known := map[string]Picture{g.Inputs[0].Name: in}
	for _, n := range g.Nodes {
		known[n.Outputs[0]] = operate(t, g, n, known)
	}
	return known[g.Outputs[len(g.Outputs)-1].Name]
}

func operate(t *testing.T, g *graph.Graph, n *graph.Node, known map[string]Picture) Picture {
	x, there := known[n.Inputs[0]]
	constant := func(i int) []float32 { return g.Tensors[n.Input(i)].Float32s() }
	pick := func(v []float32, c int) float64 { return float64(v[c%len(v)]) }
	switch n.Op {
	case "Identity":
		return x
	case "Relu":
		return x.each(func(_ int, v float64) float64 { return math.Max(v, 0) })
	case "Mul", "Add":
		k := constant(1)
		if !there {
			x, k = known[n.Inputs[1]], constant(0)
		}
		if n.Op == "Mul" {
			return x.each(func(c int, v float64) float64 { return v * pick(k, c) })
		}
		return x.each(func(c int, v float64) float64 { return v + pick(k, c) })
	case "Div":
		return x.each(func(c int, v float64) float64 { return v / pick(constant(1), c) })
	case "Sub":
		return x.each(func(c int, v float64) float64 { return v - pick(constant(1), c) })
	case "BatchNormalization":
		s, o, m, q := constant(1), constant(2), constant(3), constant(4)
		return x.each(func(c int, v float64) float64 {
			return (v-pick(m, c))/math.Sqrt(pick(q, c)+1e-5)*pick(s, c) + pick(o, c)
		})
	case "Pad":
		p := g.Tensors[n.Inputs[1]].Int64s()
		return slide(x, x.C, 1, 1, [4]int{int(p[2]), int(p[3]), int(p[6]), int(p[7])}, func(k, c, _, _ int) float64 {
			if k == c {
				return 1
			}
			return 0
		})
	case "Conv":
		return convolve(g, n, x)
	case "QuantizeLinear", "DequantizeLinear":
		if !there {
			return Picture{} // of weights: see numbers
		}
		step, zero := float64(constant(1)[0]), float64(g.Tensors[n.Inputs[2]].Data[0])
		if n.Op == "QuantizeLinear" {
			return x.each(func(_ int, v float64) float64 { return math.Min(math.Max(math.RoundToEven(v/step)+zero, 0), 255) })
		}
		return x.each(func(_ int, v float64) float64 { return (v - zero) * step })
	}
	t.Fatalf("operator %s is not evaluated here", n.Op)
	return Picture{}
}

// numbers are a constant's, which may be integers behind a DequantizeLinear by
// channel.
func numbers(g *graph.Graph, name string) (dims []int64, values []float32) {
	if t := g.Tensors[name]; t != nil {
		return t.Dims, t.Float32s()
	}
	n := g.Maker(name)
	if n == nil {
		return nil, nil
	}
	t, steps := g.Tensors[n.Inputs[0]], g.Tensors[n.Inputs[1]].Float32s()
	whole := t.Int64s()
	if t.Type == graph.I8 {
		for _, b := range t.Data {
			whole = append(whole, int64(int8(b)))
		}
	}
	for i, v := range whole {
		values = append(values, float32(v)*steps[i*len(steps)/len(whole)])
	}
	return t.Dims, values
}

func convolve(g *graph.Graph, n *graph.Node, x Picture) Picture {
	dims, weights := numbers(g, n.Inputs[1])
	_, bias := numbers(g, n.Input(2))
	outs, depth, kh, kw := int(dims[0]), int(dims[1]), int(dims[2]), int(dims[3])
	groups := x.C / depth
	var pads [4]int
	for i, p := range n.Ints("pads") {
		pads[i] = int(p)
	}
	out := slide(x, outs, kh, kw, pads, func(k, c, dy, dx int) float64 {
		if first := k / (outs / groups) * depth; c >= first && c < first+depth {
			return float64(weights[((k*depth+c-first)*kh+dy)*kw+dx])
		}
		return 0
	})
	if bias == nil {
		return out
	}
	return out.each(func(c int, v float64) float64 { return v + float64(bias[c]) })
}

// slide slides a window over a picture; pads are top, left, bottom, right.
func slide(x Picture, outs, kh, kw int, pads [4]int, weight func(k, c, dy, dx int) float64) Picture {
	out := Picture{C: outs, H: x.H + pads[0] + pads[2] - kh + 1, W: x.W + pads[1] + pads[3] - kw + 1}
	for k := range outs {
		for y := range out.H {
			for col := range out.W {
				sum := 0.0
				for c := range x.C {
					for dy := range kh {
						for dx := range kw {
							sum += weight(k, c, dy, dx) * x.At(c, y+dy-pads[0], col+dx-pads[1])
						}
					}
				}
				out.V = append(out.V, sum)
			}
		}
	}
	return out
}

// Far is the mean difference of values against their mean size.
func Far(want, got []float32) float64 {
	off, size := 0.0, 0.0
	for i := range want {
		off += math.Abs(float64(want[i] - got[i]))
		size += math.Abs(float64(want[i]))
	}
	return off / size
}
