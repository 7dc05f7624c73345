package optimize

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// Config says what to make of which network.
type Config struct {
	Model, Out string
	Classes    []string // that stay; nil: all
	Engines    []string // to look with, and to be timed with
	Fit        bool     // the input takes the pictures' aspect
	Least      float64  // score from which boxes are compared
	Agreement  float64  // least recall and precision on engines that do not compute in f32
	LibDirs    []string
	DryRun     bool // writes nothing
	// Progress is told of each picture that was looked at; nil: nobody is.
	Progress func(done, of int)
}

// rounds is how often each picture is run for a timing.
const rounds = 3

// ErrBudget says that what was made does not keep its budget: nothing was written.
var ErrBudget = errors.New("the network that was made does not keep its budget")

// Run makes an exact simplification of a network, holds it against the original on
// frames, which are all of one size, with every engine, and writes it when it keeps
// its promise. The file depends on the network and the settings alone, never on how
// fast this machine is. An error that wraps ErrBudget comes with a report.
func Run(ctx context.Context, c Config, frames []*decode.Frame, log *slog.Logger) (*Report, error) {
	data, err := os.ReadFile(c.Model)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	m, err := graph.Read(data)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", c.Model, err)
	}
	spec, err := onnx.ReadSpec(c.Model)
	if err != nil {
		return nil, err
	}
	base := spec.Input.Base
	r := &Report{
		Source: c.Model, SourceDigest: spec.Digest, Mode: "exact", Pictures: len(frames), Least: c.Least,
		Calibration: digest(frames), Before: SizeOf(m, base.Width, base.Height),
	}
	layers := Layers(m, base.Width, base.Height)
	if r.Steps, err = Exact(m, c.Classes); err != nil {
		return nil, fmt.Errorf("simplify %s: %w", c.Model, err)
	}
	if c.Fit && !spec.Input.Fixed {
		base = spec.Input.Fitted(frames[0].Width, frames[0].Height)
		m.SetMeta("size", fmt.Sprintf("[%d, %d]", base.Height, base.Width))
		r.Steps = append(r.Steps, Step{Name: "fit", Count: 1, Detail: "the input is " + base.String() + ", as the pictures are"})
	}
	if err := sign(m, r, c.Classes); err != nil {
		return nil, err
	}
	r.After, r.Layers = SizeOf(m, base.Width, base.Height), changes(layers, Layers(m, base.Width, base.Height))
	return r, write(ctx, c, r, m.Write(), frames, log)
}

// provenance is what a network that was optimized says of itself, in its metadata.
type provenance struct {
	Source  string   `json:"source"` // digest
	Mode    string   `json:"mode"`
	Steps   []string `json:"steps"`
	Classes []string `json:"classes,omitempty"`
}

// metaKey is where it says so.
const metaKey = "sightline.optimized"

func sign(m *graph.Model, r *Report, classes []string) error {
	p := provenance{Source: r.SourceDigest, Mode: r.Mode, Classes: classes}
	for _, s := range r.Steps {
		p.Steps = append(p.Steps, s.Name)
	}
	text, err := json.Marshal(p)
	m.SetMeta(metaKey, string(text))
	r.Classes = classes
	return err
}

// write puts the network where it belongs once it has passed.
func write(ctx context.Context, c Config, r *Report, data []byte, frames []*decode.Frame, log *slog.Logger) error {
	sum := sha256.Sum256(data)
	r.Digest = hex.EncodeToString(sum[:])
	dir := filepath.Dir(c.Out)
	if c.DryRun {
		dir = ""
	}
	f, err := os.CreateTemp(dir, ".optimize-*.onnx")
	if err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	defer os.Remove(f.Name()) // gone already where it was renamed
	_, err = f.Write(data)
	if err = cmp.Or(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	if err := judge(ctx, c, r, f.Name(), frames, log); err != nil {
		return err
	}
	if c.DryRun {
		return nil
	}
	if err := cmp.Or(os.Chmod(f.Name(), 0o644), os.Rename(f.Name(), c.Out)); err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	r.Out = c.Out
	return nil
}

// judge holds the candidate in a file against the original, engine by engine.
func judge(ctx context.Context, c Config, r *Report, candidate string, frames []*decode.Frame, log *slog.Logger) error {
	for i, engine := range c.Engines {
		looked := func(n int) {
			if c.Progress != nil {
				c.Progress(i*len(frames)+n, len(c.Engines)*len(frames))
			}
		}
		e, err := compare(ctx, c, engine, candidate, frames, looked, log)
		if err != nil {
			return fmt.Errorf("compare on %s: %w", engine, err)
		}
		r.Engines = append(r.Engines, e)
		if r.Reason = e.fault(c.Agreement); r.Reason != "" {
			return fmt.Errorf("%w: %s", ErrBudget, r.Reason)
		}
	}
	r.Passed = true
	return nil
}
