package quantize

import (
	"context"
	"slices"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// tapOf opens a network for a look at some of its values. ONNX Runtime fills no output
// that is an input as well, and of two of one name only the last: copies take their place.
func tapOf(m *graph.Model, in onnx.Input, shape onnx.Shape, values []onnx.Value, libDirs []string) (*onnx.Tap, error) {
	tapped := *m
	g := *m.Graph
	tapped.Graph = &g
	g.Nodes, g.Outputs = slices.Clone(g.Nodes), nil
	values = slices.Clone(values)
	for i, v := range values {
		if g.IsOutput(v.Name) || slices.ContainsFunc(g.Inputs, func(p graph.Port) bool { return p.Name == v.Name }) {
			values[i].Name = g.Fresh(v.Name + "/seen")
			g.Nodes = append(g.Nodes, &graph.Node{Name: values[i].Name, Op: "Identity", Inputs: []string{v.Name}, Outputs: []string{values[i].Name}})
		}
		g.Outputs = append(g.Outputs, graph.Port{Name: values[i].Name, Type: graph.F32, Dims: graph.Fixed(v.Dims)})
	}
	return onnx.NewTap(libDirs, tapped.Write(), in, shape, values)
}

// eachLook visits the values of every picture.
func eachLook(ctx context.Context, tap *onnx.Tap, frames []*decode.Frame, visit func(value int, v []float32)) error {
	for _, f := range frames {
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
