package optimize

import (
	"context"
	"fmt"
	"math"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// span is the least and the most that a value was.
type span struct{ low, high float32 }

// ranges runs a network over pictures, twice, and returns the spans of some of its
// inner values that lose least in 8 bits. Frames are looked at one by one; ctx ends it between two.
func ranges(ctx context.Context, m *graph.Model, in onnx.Input, shape onnx.Shape, values []string, frames []*decode.Frame, libDirs []string) (map[string]span, error) {
	known := m.Graph.Shapes(shape.Width, shape.Height)
	var taps []onnx.Value
	for _, name := range values {
		if known[name] == nil {
			return nil, fmt.Errorf("the size of %s is not known", name)
		}
		taps = append(taps, onnx.Value{Name: name, Dims: known[name]})
	}
	tap, err := tapOf(m, in, shape, taps, libDirs)
	if err != nil {
		return nil, err
	}
	defer tap.Close()
	spans := make([]span, len(values))
	for i := range spans {
		spans[i] = span{float32(math.Inf(1)), float32(math.Inf(-1))}
	}
	err = eachLook(ctx, tap, frames, func(i int, v []float32) { spans[i].widen(v) })
	if err != nil {
		return nil, err
	}
	counts := make([]histogram, len(values))
	for i, name := range values {
		if s := spans[i]; math.IsInf(float64(s.high-s.low), 0) || s.high != s.high || s.low != s.low {
			return nil, fmt.Errorf("%s is not finite on these pictures", name)
		}
		counts[i] = histogram{span: spans[i].within(m.Graph, name), slope: slope(m.Graph, name)}
	}
	err = eachLook(ctx, tap, frames, func(i int, v []float32) { counts[i].count(v) })
	if err != nil {
		return nil, err
	}
	out := map[string]span{}
	for i, name := range values {
		out[name] = counts[i].best()
	}
	return out, nil
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

func (s *span) widen(values []float32) {
	for _, v := range values {
		s.low, s.high = min(s.low, v), max(s.high, v)
	}
}

// scale is the step of 8-bit steps over the span, widened to hold 0, and the step
// that stands for 0.
func (s span) scale() (step float32, zero uint8) {
	low, high := min(s.low, 0), max(s.high, 0)
	if step = (high - low) / 255; step < 1e-8 {
		return 1e-8, 0
	}
	return step, uint8(math.RoundToEven(float64(min(max(-low/step, 0), 255))))
}
