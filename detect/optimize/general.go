package optimize

import (
	"context"
	"log/slog"
	"slices"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// mostProofs bounds how often general mode asks the gate: each network that it judges
// by the same pictures makes them choose a little.
const mostProofs = 3

// inIntegers computes in 8-bit integers where that keeps the agreement. It asks the gate
// at most so many times, each time of a network with more in floats.
func inIntegers(ctx context.Context, c Config, r *Report, m *graph.Model, in onnx.Input, shape onnx.Shape, parts division, proofs int, log *slog.Logger) error {
	l, err := newLowering(ctx, c, m, in, shape, parts)
	if err != nil {
		return err
	}
	if err := l.called(log); err != nil {
		return err
	}
	steps, more := r.Steps, 0
	need := c.Agreement + (1-c.Agreement)/6 // other pictures agree a little less than those chosen by
	for proof := 1; ; proof++ {
		made, err := l.fewest(more, need)
		if err != nil {
			return err
		}
		r.Tried, l.tried = append(r.Tried, l.tried...), nil
		r.Steps = append(slices.Clone(steps), made.step)
		r.weigh(made.model, shape.Width, shape.Height)
		err = finish(ctx, c, r, made.model, parts.prove, log)
		if !again(err) || len(made.kept) >= len(l.convs)/2 || proof == proofs {
			return err
		}
		r.Tried = append(r.Tried, made.step.Detail+": "+r.Reason)
		if more, err = l.besides(made, proof*max(1, len(l.convs)/12)); err != nil {
			return err
		}
	}
}

// integers makes a copy of a simplified network in integers, all but the convolutions
// that make the outputs, without a look at what it sees then.
func integers(ctx context.Context, c Config, m *graph.Model, in onnx.Input, shape onnx.Shape, frames []*decode.Frame) (*graph.Model, Step, error) {
	l, err := newLowering(ctx, c, m, in, shape, division{learn: frames})
	if err != nil {
		return nil, Step{}, err
	}
	made, err := l.make(nil)
	if err != nil {
		return nil, Step{}, err
	}
	return made.model, made.step, nil
}
