package optimize

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"sightline/decode"
	"sightline/detect/optimize/graph"
)

// finish holds a network against the original on frames, and once it has passed
// signs it and writes it where it belongs. What is judged differs from what is
// written by the figures in its metadata alone.
func finish(ctx context.Context, c Config, r *Report, m *graph.Model, frames []*decode.Frame, log *slog.Logger) error {
	return write(c, r, m, func(candidate string) error { return judge(ctx, c, r, candidate, frames, log) })
}

// write is finish with a judge of another kind.
func write(c Config, r *Report, m *graph.Model, judge func(candidate string) error) error {
	r.Engines, r.AP50, r.AP50All, r.Reason = nil, [2]float64{}, [2]float64{}, "" // of one that was refused before
	dir := filepath.Dir(c.Out)
	if c.DryRun {
		dir = ""
	}
	f, err := os.CreateTemp(dir, ".optimize-*.onnx")
	if err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	defer os.Remove(f.Name()) // gone already where it was renamed
	defer f.Close()
	if err := put(f, m, c, r); err != nil {
		return err
	}
	if err := judge(f.Name()); err != nil {
		return err
	}
	if err := put(f, m, c, r); err != nil {
		return err
	}
	if c.DryRun {
		return nil
	}
	if err = f.Chmod(0o644); err == nil {
		err = os.Rename(f.Name(), c.Out)
	}
	if err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	r.Out = c.Out
	return nil
}

// put signs a network and writes it to a file in place of what was there.
func put(f *os.File, m *graph.Model, c Config, r *Report) error {
	if err := sign(m, c, r); err != nil {
		return err
	}
	data := m.Write()
	sum := sha256.Sum256(data)
	r.Digest = hex.EncodeToString(sum[:])
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err = cmp.Or(err, f.Sync()); err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	return nil
}

// judge holds the candidate in a file against the original, engine by engine.
func judge(ctx context.Context, c Config, r *Report, candidate string, frames []*decode.Frame, log *slog.Logger) error {
	r.Proofs++
	var trials []trial
	for _, engine := range c.Engines {
		trials = append(trials, trial{engine: engine})
	}
	for i := 0; i < len(trials); i++ {
		looked := func(n int) {
			if c.Progress != nil {
				c.Progress("comparing", i*len(frames)+n, len(trials)*len(frames))
			}
		}
		e, err := compare(ctx, c, trials[i], candidate, frames, looked, log)
		if err != nil {
			return fmt.Errorf("compare on %s: %w", trials[i].engine, err)
		}
		r.Engines = append(r.Engines, e)
		r.Reason = e.fault(r.Mode, c.Agreement)
		r.tried(e)
		if i == 0 {
			r.Examples = e.examples
		}
		switch {
		case tooFew(e.Engine, e.Agreement.Boxes) != "":
			return unproved(r.Reason)
		case r.Reason != "":
			return fmt.Errorf("%w: %s", ErrBudget, r.Reason)
		}
		if c.Mode == ExactMode && i == len(c.Engines)-1 && !r.rounded() {
			trials = append(trials, trial{c.Engines[0], "f32"})
		}
	}
	if c.Check != nil {
		if err := c.Check(ctx, candidate, r); err != nil {
			r.Reason = err.Error()
			return err
		}
	}
	r.Passed = true
	return nil
}

// tried notes what a network that was judged came to on an engine.
func (r *Report) tried(e EngineReport) {
	p := Point{Recall: e.Agreement.Recall, Precision: e.Agreement.Precision, Speedup: e.Race.Speedup, Reason: r.Reason}
	p.Name = e.Engine + " " + e.Precision
	if n := len(r.Steps); n > 0 {
		last := &r.Steps[n-1]
		p.Name += ": " + last.Name + ", " + last.Detail
		if last.After == nil {
			last.After = &Stage{Size: r.After, Speedup: e.Race.Speedup, Agreement: e.Agreement}
		}
	}
	r.Points = append(r.Points, p)
}
