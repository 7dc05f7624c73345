package optimize

import (
	"context"
	"errors"
	"fmt"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// A level is how much of a network becomes integers: each keeps more in floats than
// the one before, and is tried when that does not keep the budget.
type level struct {
	name string
	keep func(g *graph.Graph) func(*graph.Node) bool
}

// levels begin with all but the convolutions that make the outputs: their small
// differences decide about scores.
func levels() []level {
	heads := func(g *graph.Graph) func(*graph.Node) bool {
		return func(n *graph.Node) bool { return makesOutput(g, n) }
	}
	with := func(more func(g *graph.Graph, n *graph.Node) bool) func(*graph.Graph) func(*graph.Node) bool {
		return func(g *graph.Graph) func(*graph.Node) bool {
			return func(n *graph.Node) bool { return makesOutput(g, n) || more(g, n) }
		}
	}
	return []level{
		{"all but the last convolutions", heads},
		{"all but the first and last convolutions", with(isFirst)},
		{"all but the first and the last two convolutions", with(func(g *graph.Graph, n *graph.Node) bool {
			return isFirst(g, n) || feedsOutput(g, n, 4)
		})},
	}
}

func isFirst(g *graph.Graph, n *graph.Node) bool {
	for _, m := range g.Nodes {
		if m.Op == "Conv" {
			return m == n
		}
	}
	return false
}

// makesOutput tells whether nothing but rearranging, in at most eight operators that
// are no convolutions, is between a convolution and an output.
func makesOutput(g *graph.Graph, n *graph.Node) bool { return reaches(g, n, 8, 0) }

// feedsOutput allows one more convolution between, within so many operators.
func feedsOutput(g *graph.Graph, n *graph.Node, within int) bool { return reaches(g, n, within, 1) }

func reaches(g *graph.Graph, n *graph.Node, within, convs int) bool {
	type place struct {
		node *graph.Node
		left int // convolutions that may come
	}
	front, seen := []place{{n, convs}}, map[place]bool{}
	for range within + 1 {
		var next []place
		for _, p := range front {
			for _, out := range p.node.Outputs {
				if g.IsOutput(out) {
					return true
				}
				for _, user := range g.Users(out) {
					to := place{user, p.left}
					if user.Op == "Conv" {
						to.left--
					}
					if to.left >= 0 && !seen[to] {
						seen[to] = true
						next = append(next, to)
					}
				}
			}
		}
		front = next
	}
	return false
}

// formFor is what an engine computes fastest.
func formFor(engine string) Form {
	if engine == "openvino" {
		return AroundConvolutions
	}
	return Everywhere
}

// errNoIntegers ends a series of levels, or says that there is none.
var errNoIntegers = errors.New("it has no convolution with constant weights and inputs of known size that could compute in integers")

// integers makes a copy of a simplified network in 8-bit integers.
func integers(ctx context.Context, c Config, m *graph.Model, in onnx.Input, shape onnx.Shape, l level, frames []*decode.Frame) (*graph.Model, Step, error) {
	const byChannel = 13 // the version of ONNX's operators in which DequantizeLinear has an axis
	if v := m.Opset(); v < byChannel {
		return nil, Step{}, fmt.Errorf("its operators are those of ONNX version %d, and integers want %d or later: export it again with a newer one", v, byChannel)
	}
	copied, err := graph.Read(m.Write())
	if err != nil {
		return nil, Step{}, err
	}
	form := formFor(c.Engines[0])
	p := planFor(copied.Graph, form, shapes(copied.Graph, shape.Width, shape.Height), l.keep(copied.Graph))
	if len(p.convs) == 0 {
		return nil, Step{}, errNoIntegers
	}
	spans, err := ranges(ctx, copied, in, shape, p.values, frames, c.LibDirs)
	if err != nil {
		return nil, Step{}, fmt.Errorf("look at the values inside: %w", err)
	}
	quantize(copied.Graph, p, spans)
	if _, err := refit(ctx, m, copied, in, shape, frames, c.LibDirs); err != nil {
		return nil, Step{}, fmt.Errorf("fit the last convolutions: %w", err)
	}
	return copied, Step{
		Name: "integers", Count: len(p.convs),
		Detail: fmt.Sprintf("%s compute in 8-bit integers, marked %s", l.name, form),
	}, nil
}
