package quantize

import (
	"context"
	"fmt"
	"math"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// Ranges runs a network over the pictures, twice, and returns the spans of some of its
// inner values that lose least in 8 bits.
func (p Pictures) Ranges(ctx context.Context, m *graph.Model, values []string) (map[string]Span, error) {
	known := m.Graph.Shapes(p.Shape.Width, p.Shape.Height)
	var taps []onnx.Value
	for _, name := range values {
		if known[name] == nil {
			return nil, fmt.Errorf("the size of %s is not known", name)
		}
		taps = append(taps, onnx.Value{Name: name, Dims: known[name]})
	}
	tap, err := p.tap(m, taps)
	if err != nil {
		return nil, err
	}
	defer tap.Close()
	spans := make([]Span, len(values))
	for i := range spans {
		spans[i] = Span{float32(math.Inf(1)), float32(math.Inf(-1))}
	}
	err = p.each(ctx, tap, func(i int, v []float32) { spans[i].widen(v) })
	if err != nil {
		return nil, err
	}
	counts := make([]histogram, len(values))
	for i, name := range values {
		if s := spans[i]; math.IsInf(float64(s.High-s.Low), 0) || s.High != s.High || s.Low != s.Low {
			return nil, fmt.Errorf("%s is not finite on these pictures", name)
		}
		counts[i] = histogram{Span: spans[i].within(m.Graph, name), slope: slope(m.Graph, name)}
	}
	err = p.each(ctx, tap, func(i int, v []float32) { counts[i].count(v) })
	if err != nil {
		return nil, err
	}
	out := map[string]Span{}
	for i, name := range values {
		out[name] = counts[i].best()
	}
	return out, nil
}
