package optimize

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/detect/optimize/exact"
	"sightline/detect/optimize/graph"
)

// Stage is the network after a step, measured on a few pictures and the first engine.
type Stage struct {
	Size
	Speedup   float64   `json:"speedup"` // over the original
	Agreement Agreement `json:"agreement"`
}

// Bounds of what measuring the steps may take.
const (
	stagePictures = 6
	stageBytes    = 64 << 20 // of a network that is measured after each step
)

// stages measures what each simplification came to; the steps behind them are judged
// anyway. It changes nothing but the report.
type stages struct {
	ctx    context.Context
	c      Config
	frames []*decode.Frame
	log    *slog.Logger

	originals map[string]*original // by input
}

// original is the network that all steps are held against, opened once for each size.
type original struct {
	*Looker
	boxes [][]detect.Detection
}

// found is what it finds in frames, which are the same each time.
func (o *original) found(frames []*decode.Frame) ([][]detect.Detection, error) {
	for _, f := range frames[len(o.boxes):] {
		boxes, _, err := o.Look(f)
		if err != nil {
			return nil, err
		}
		o.boxes = append(o.boxes, boxes)
	}
	return o.boxes, nil
}

func (s stages) original(input string) (*original, error) {
	if o := s.originals[input]; o != nil {
		return o, nil
	}
	l, err := s.looker(s.c.Model, input)
	if err != nil {
		return nil, err
	}
	s.originals[input] = &original{Looker: l}
	return s.originals[input], nil
}

func (s stages) looker(model, input string) (*Looker, error) {
	cfg := LookerConfig{Model: model, Engine: s.c.Engines[0], Input: input, Classes: s.c.Classes, LibDirs: s.c.LibDirs, Least: s.c.Least - Tolerance}
	l, err := NewLooker(cfg, s.frames[0], s.log)
	if err != nil {
		return nil, fmt.Errorf("measure a step: %w", err)
	}
	return l, nil
}

// close frees the originals, once the last step was measured.
func (s stages) close() {
	for _, o := range s.originals {
		o.Close()
	}
}

// measure tells what the network in m, as it is now, sees and takes.
func (s stages) measure(m *graph.Model, shape onnx.Shape) (*Stage, error) {
	out := &Stage{Size: SizeOf(m, shape.Width, shape.Height)}
	data := m.Write()
	if len(data) > stageBytes {
		return out, nil
	}
	path, err := temporary(data)
	if err != nil {
		return nil, fmt.Errorf("measure a step: %w", err)
	}
	defer os.Remove(path)
	is, err := s.looker(path, "model")
	if err != nil {
		return nil, err
	}
	defer is.Close()
	own, err := s.original("model")
	if err != nil {
		return nil, err
	}
	was := own
	if own.Shape() != is.Shape() {
		if was, err = s.original(is.Shape().String()); err != nil {
			return nil, err
		}
	}
	few := some(s.frames, stagePictures)
	race, err := NewRace(own.Looker, is, few, 1)
	if err != nil {
		return nil, err
	}
	before, err := was.found(few)
	if err != nil {
		return nil, err
	}
	after := make([][]detect.Detection, len(few))
	for i, f := range few {
		if after[i], _, err = is.Look(f); err != nil {
			return nil, err
		}
	}
	out.Speedup, out.Agreement = race.Speedup, agreement(before, after, s.c.Least)
	return out, nil
}

// noted measures what became of a network after the last of a report's steps so far.
func noted(ctx context.Context, c Config, r *Report, m *graph.Model, shape onnx.Shape, frames []*decode.Frame, log *slog.Logger) error {
	s := stages{ctx: ctx, c: c, frames: frames, log: log, originals: map[string]*original{}}
	defer s.close()
	return s.took(r.Steps, m, shape)
}

// simplify makes all that changes nothing but rounding and the input's size, which it
// returns, and notes each step in r.
func (s stages) simplify(r *Report, m *graph.Model, in onnx.Input) (onnx.Shape, error) {
	defer s.close()
	var err error
	if r.Steps, err = s.exact(m, in.Base); err != nil {
		return in.Base, fmt.Errorf("simplify %s: %w", s.c.Model, err)
	}
	if s.c.Fit && in.Fixed {
		s.log.Warn("the input keeps its size: the network takes no other", "size", in.Base.String())
	}
	if !s.c.Fit || in.Fixed {
		return in.Base, nil
	}
	shape := in.Fitted(s.frames[0].Width, s.frames[0].Height)
	m.SetMeta("size", fmt.Sprintf("[%d, %d]", shape.Height, shape.Width))
	r.Steps = append(r.Steps, Step{Name: "fit", Count: 1, Detail: "the input is " + shape.String() + ", as the pictures are"})
	return shape, s.took(r.Steps, m, shape)
}

// exact simplifies m and measures it after each step.
func (s stages) exact(m *graph.Model, shape onnx.Shape) (steps []Step, err error) {
	err = exact.Simplify(m, s.c.Classes, func(c exact.Change) error {
		steps = append(steps, stepOf(c))
		return s.took(steps, m, shape)
	})
	return steps, err
}

// simplified simplifies m and measures nothing.
func simplified(m *graph.Model, classes []string) (steps []Step, err error) {
	err = exact.Simplify(m, classes, func(c exact.Change) error {
		steps = append(steps, stepOf(c))
		return nil
	})
	return steps, err
}

func stepOf(c exact.Change) Step { return Step{Name: c.Name, Detail: c.Detail, Count: c.Count} }

// took measures m after the last of the steps so far, where somebody wants to know.
// That it cannot be run as it is in between is no reason to fail.
func (s stages) took(steps []Step, m *graph.Model, shape onnx.Shape) error {
	if !s.c.Stages {
		return s.ctx.Err()
	}
	if s.c.Progress != nil {
		s.c.Progress("measuring each step", 0, 0)
	}
	after, err := s.measure(m, shape)
	if err != nil {
		s.log.Debug("a step is not measured", "step", steps[len(steps)-1].Name, "error", err)
	}
	steps[len(steps)-1].After = after
	return s.ctx.Err()
}
