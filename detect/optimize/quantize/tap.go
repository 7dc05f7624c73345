package quantize

import (
	"context"
	"slices"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// Pictures are what networks are looked into with, on ONNX Runtime. Frames stay the
// caller's, and are looked at one by one; a context ends it between two.
type Pictures struct {
	Input   onnx.Input
	Shape   onnx.Shape
	Frames  []*decode.Frame
	LibDirs []string // where ONNX Runtime may be
}

// tap opens a network for a look at some of its values. ONNX Runtime fills no output
// that is an input as well, and of two of one name only the last: copies take their place.
func (p Pictures) tap(m *graph.Model, values []onnx.Value) (*onnx.Tap, error) {
	tapped := *m
	g := *m.Graph
	tapped.Graph = &g
	g.Nodes, g.Outputs = slices.Clone(g.Nodes), nil
	values = slices.Clone(values)
	for i, v := range values {
		if g.IsOutput(v.Name) || slices.ContainsFunc(g.Inputs, func(in graph.Port) bool { return in.Name == v.Name }) {
			values[i].Name = g.Fresh(v.Name + "/seen")
			g.Nodes = append(g.Nodes, &graph.Node{Name: values[i].Name, Op: "Identity", Inputs: []string{v.Name}, Outputs: []string{values[i].Name}})
		}
		g.Outputs = append(g.Outputs, graph.Port{Name: values[i].Name, Type: graph.F32, Dims: graph.Fixed(v.Dims)})
	}
	return onnx.NewTap(p.LibDirs, tapped.Write(), p.Input, p.Shape, values)
}

// each visits the values of every picture.
func (p Pictures) each(ctx context.Context, tap *onnx.Tap, visit func(value int, v []float32)) error {
	for _, f := range p.Frames {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		seen, err := tap.Look(f)
		if err != nil {
			return err
		}
		for i, v := range seen {
			visit(i, v)
		}
	}
	return nil
}
