package optimize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// valueTolerance is how far rounding may move a value of a network whose boxes nobody
// here can read, against the largest of its output on the same picture.
const valueTolerance = 1e-4

// Values tells how alike the raw outputs of two networks are.
type Values struct {
	Count int     `json:"count"` // that were compared
	Off   float64 `json:"off"`   // the most that one differs, against the largest of its output

	most float64 // the largest of the original's that is finite
}

// unread simplifies a network whose outputs are of no family that is known: what they
// hold is compared as it is, on ONNX Runtime, picture by picture.
func unread(ctx context.Context, c Config, spec *onnx.Spec, m *graph.Model, frames []*decode.Frame) (*Report, error) {
	in, shape := spec.Input, spec.Input.Base
	switch {
	case c.Mode != ExactMode:
		_, err := onnx.ReadSpec(c.Model)
		return nil, fmt.Errorf("only mode %s is for networks whose outputs are not understood: %w", ExactMode, err)
	case c.Classes != nil:
		return nil, errors.New("classes are not known of a network whose outputs are not understood: leave them out")
	case c.Fit:
		return nil, errors.New("a network whose outputs are not understood keeps its input: leave fitting it out")
	case c.Check != nil:
		return nil, errors.New("nothing is known to be found by a network whose outputs are not understood: leave ground truth out")
	case !slices.Contains(c.Engines, plainEngine):
		return nil, fmt.Errorf("a network whose outputs are not understood is compared on %s alone, not on %s", plainEngine, strings.Join(c.Engines, ", "))
	}
	r := &Report{
		Source: c.Model, SourceDigest: spec.Digest, Mode: c.Mode, Calibration: digest(frames), Pictures: len(frames),
		Before: SizeOf(m, shape.Width, shape.Height),
	}
	before, names := Layers(m, shape.Width, shape.Height), lineageOf(m.Graph)
	outputs, err := outputsOf(m.Graph, shape)
	if err != nil {
		return nil, err
	}
	if r.Steps, err = simplified(m, nil); err != nil {
		return nil, fmt.Errorf("simplify %s: %w", c.Model, err)
	}
	r.Layers = names.pair(before, m.Graph)
	r.weigh(m, shape.Width, shape.Height)
	judge := func(candidate string) error { return r.compareValues(ctx, c, in, shape, outputs, candidate, frames) }
	return r, write(c, r, m, judge)
}

// outputsOf are a network's outputs for one picture.
func outputsOf(g *graph.Graph, shape onnx.Shape) (out []onnx.Value, err error) {
	known := g.Shapes(shape.Width, shape.Height)
	for _, p := range g.Outputs {
		v := onnx.Value{Name: p.Name, Dims: known[p.Name]}
		if v.Dims == nil {
			for i, d := range p.Dims {
				if i == 0 {
					d.Size = max(1, d.Size)
				}
				v.Dims = append(v.Dims, d.Size)
			}
		}
		for _, d := range v.Dims {
			if d < 1 {
				return nil, fmt.Errorf("its output %s is of open size, so that nothing can be compared: export it with a fixed one", p.Name)
			}
		}
		if p.Type != graph.F32 {
			return nil, fmt.Errorf("its output %s is not in 32-bit floats, which alone are compared", p.Name)
		}
		out = append(out, v)
	}
	return out, nil
}

// compareValues looks at the pictures with both networks, and times them in turn.
func (r *Report) compareValues(ctx context.Context, c Config, in onnx.Input, shape onnx.Shape, outputs []onnx.Value, candidate string, frames []*decode.Frame) error {
	var taps [2]*onnx.Tap
	for i, path := range []string{c.Model, candidate} {
		data, err := os.ReadFile(path)
		if err == nil {
			taps[i], err = onnx.NewTap(c.LibDirs, data, in, shape, outputs)
		}
		if err != nil {
			return fmt.Errorf("compare on %s: %w", plainEngine, blame(err, c.Model))
		}
		defer taps[i].Close()
	}
	v := &Values{}
	var took [2][]float64
	var ratios []float64
	for n := range rounds * len(frames) {
		var seen [2][][]float32
		for i, tap := range taps {
			start, err := time.Now(), ctx.Err()
			if err == nil {
				seen[i], err = tap.Look(frames[n%len(frames)])
			}
			if err != nil {
				return fmt.Errorf("compare on %s: %w", plainEngine, err)
			}
			took[i] = append(took[i], float64(time.Since(start)))
		}
		ratios = append(ratios, took[0][n]/took[1][n])
		if n < len(frames) {
			v.add(seen)
		}
		if c.Progress != nil {
			c.Progress("comparing", n+1, rounds*len(frames))
		}
	}
	race := Race{Original: time.Duration(median(took[0])), Optimized: time.Duration(median(took[1])), Speedup: median(ratios)}
	r.Engines = []EngineReport{{
		Engine: plainEngine, Precision: "f32", Input: [2]string{shape.String(), shape.String()}, Race: race, OverPlain: race.Speedup, Values: v,
	}}
	switch {
	case v.Off > valueTolerance:
		r.Reason = fmt.Sprintf("on %s outputs differ by more than rounding: by %.2g of the largest value", plainEngine, v.Off)
	case v.most == 0:
		r.Reason = fmt.Sprintf("on %s all that the original computes of these pictures is 0 or no number, so that nothing is proved", plainEngine)
	}
	if r.Passed = r.Reason == ""; !r.Passed {
		return fmt.Errorf("%w: %s", ErrBudget, r.Reason)
	}
	return nil
}

// add compares what both computed of a picture.
func (v *Values) add(seen [2][][]float32) {
	for k, was := range seen[0] {
		most, off := 0.0, 0.0
		for i, x := range was {
			x, y := float64(x), float64(seen[1][k][i])
			if x == y || math.IsNaN(x) && math.IsNaN(y) { // infinities too
				y = x
			} else if off = math.Max(off, math.Abs(x-y)); math.IsNaN(off) {
				off = math.Inf(1)
			}
			if !math.IsInf(x, 0) && !math.IsNaN(x) {
				most = max(most, math.Abs(x))
			}
		}
		v.Count, v.most = v.Count+len(was), max(v.most, most)
		if off > 0 {
			v.Off = max(v.Off, min(off/most, math.MaxFloat64)) // JSON has no infinity
		}
	}
}
