package optimize

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/onnx"
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
}

// measure tells what the network in m, as it is now, sees and takes.
func (s stages) measure(m *graph.Model, shape onnx.Shape) (*Stage, error) {
	out := &Stage{Size: SizeOf(m, shape.Width, shape.Height)}
	data := m.Write()
	if len(data) > stageBytes {
		return out, nil
	}
	f, err := os.CreateTemp("", "stage-*.onnx")
	if err != nil {
		return nil, fmt.Errorf("measure a step: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return nil, fmt.Errorf("measure a step: %w", err)
	}
	cfg := LookerConfig{Model: f.Name(), Engine: s.c.Engines[0], Input: "model", Classes: s.c.Classes, LibDirs: s.c.LibDirs, Least: s.c.Least - Tolerance}
	is, err := NewLooker(cfg, s.frames[0], s.log)
	if err != nil {
		return nil, fmt.Errorf("measure a step: %w", err)
	}
	defer is.Close()
	cfg.Model = s.c.Model
	own, err := NewLooker(cfg, s.frames[0], s.log)
	if err != nil {
		return nil, fmt.Errorf("measure a step: %w", err)
	}
	defer own.Close()
	was := own
	if own.Shape() != is.Shape() {
		cfg.Input = is.Shape().String()
		if was, err = NewLooker(cfg, s.frames[0], s.log); err != nil {
			return nil, fmt.Errorf("measure a step: %w", err)
		}
		defer was.Close()
	}
	few := some(s.frames, stagePictures)
	race, err := NewRace(own, is, few, 1)
	if err != nil {
		return nil, err
	}
	var before, after [][]detect.Detection
	for _, f := range few {
		a, _, err := was.Look(f)
		if err != nil {
			return nil, err
		}
		b, _, err := is.Look(f)
		if err != nil {
			return nil, err
		}
		before, after = append(before, a), append(after, b)
	}
	out.Speedup, out.Agreement = race.Speedup, agreement(before, after, s.c.Least)
	return out, nil
}

// exact simplifies m and measures it after each step.
func (s stages) exact(m *graph.Model, shape onnx.Shape) (steps []Step, err error) {
	err = exact(m, s.c.Classes, func(step Step) error {
		steps = append(steps, step)
		return s.took(steps, m, shape)
	})
	return steps, err
}

// took measures m after the last of the steps so far. That it cannot be run as it is
// in between is no reason to fail.
func (s stages) took(steps []Step, m *graph.Model, shape onnx.Shape) error {
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
