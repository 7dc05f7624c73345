// Package optimize makes a network smaller and faster for one deployment, and holds
// what it made to an accuracy budget: nothing is written that does not keep it.
//
// A transformation changes a graph.Model in place and says what it did in Steps. Run
// strings them together, looks at pictures with the original and the result side by
// side, and measures both.
package optimize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/exact"
	"sightline/detect/optimize/graph"
)

// Config says what to make of which network.
type Config struct {
	Model, Out string
	Mode       string   // ExactMode, GeneralMode or SceneMode
	Classes    []string // that stay; nil: all
	Engines    []string // to look with, and to be timed with; GeneralMode is made for the first alone
	Fit        bool     // the input takes the pictures' aspect
	Least      float64  // score from which boxes are compared
	Agreement  float64  // least recall and precision where boxes are not to be equal
	AP50       float64  // most points of AP50 that Check lets pass, for the file to tell
	LibDirs    []string
	DryRun     bool // writes nothing
	Integers   bool // SceneMode computes in 8-bit integers besides
	Smaller    bool // SceneMode may make the input smaller
	Plain      bool // leaves convolutions as they are: another engine than Engines will run it
	Stages     bool // measures the network after each step, for who reads the report
	// Stream and Bind bind what SceneMode makes to a stream: its name, and the digest
	// of its configuration.
	Stream, Bind string
	Work         string // folder of what is kept for a run that goes on later; "": nothing is
	// Check, where there is one, is asked last about the network in a file, before
	// it is written where it belongs; an error refuses it.
	Check func(ctx context.Context, candidate string, r *Report) error
	// Progress is told how far each step came, by Run's own goroutine; nil: nobody
	// is. A step of unknown length has of == 0, and a new name begins a new step.
	Progress func(step string, done, of int)
}

// Modes.
const (
	ExactMode   = "exact"   // nothing changes but rounding
	GeneralMode = "general" // 8-bit integers besides, with the agreement that was asked for
	SceneMode   = "scene"   // what one camera's pictures do not need goes besides
)

// rounds is how often each picture is run for a timing.
const rounds = 3

// ErrBudget says that what was made does not keep its budget, or could not be proved to:
// nothing was written.
var ErrBudget = errors.New("the network that was made does not keep its budget")

// Run makes a smaller network, holds it against the original on frames, which are
// all of one size, with every engine, and writes it when it keeps its promise. Where
// something is learned from frames, every other one is kept back for that comparison
// alone, and of the rest every other for what is chosen on the way. The file depends on the network, the settings and the
// frames alone, never on how fast this machine is. An error that wraps ErrBudget
// comes with a report.
func Run(ctx context.Context, c Config, frames []*decode.Frame, log *slog.Logger) (*Report, error) {
	if err := cmp.Or(c.proves(len(frames)), c.place()); err != nil {
		return nil, err
	}
	spec, err := onnx.ReadAny(c.Model) // which refuses what is no file, or too large
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(c.Model)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	m, err := graph.Read(data)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", c.Model, err)
	}
	if err := unmade(m); err != nil {
		return nil, fmt.Errorf("model %s: %w", c.Model, err)
	}
	if spec.Family == "" {
		return unread(ctx, c, spec, m, frames)
	}
	in := spec.Input
	r := &Report{
		Source: c.Model, SourceDigest: spec.Digest, Mode: c.Mode, Classes: c.Classes, Least: c.Least, Agreement: c.Agreement,
		Calibration: digest(frames), Before: SizeOf(m, in.Base.Width, in.Base.Height),
	}
	before, names := Layers(m, in.Base.Width, in.Base.Height), lineageOf(m.Graph)
	meta := spec.Metadata() // which may have come from a file beside it
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		m.SetMeta(key, meta[key])
	}
	s := stages{ctx: ctx, c: c, frames: frames, log: log, originals: map[string]*original{}}
	shape, err := s.simplify(r, m, in)
	if err != nil {
		return nil, err
	}
	r.Layers = names.pair(before, m.Graph)
	r.weigh(m, shape.Width, shape.Height)
	if c.Mode == ExactMode {
		r.Pictures = len(frames)
		lower(c, r, m, shape)
		return r, finish(ctx, c, r, m, frames, log)
	}
	if c.Mode == SceneMode {
		r.Stream = c.Stream
	}
	parts := divide(frames)
	parts.noted(r)
	if err := enough(ctx, c, r, shape.String(), parts.prove, log); err != nil {
		return r, err
	}
	if c.Mode == SceneMode {
		return r, scene(ctx, c, r, m, in, shape, frames, log)
	}
	return r, general(ctx, c, r, m, in, shape, parts, log)
}

// proves refuses what would be no proof: without an engine or a picture that is held
// back nothing is compared, and no agreement is less than what is no number.
func (c Config) proves(pictures int) error {
	least := 1
	if c.Mode != ExactMode {
		least = leastSplit
	}
	switch {
	case len(c.Engines) == 0:
		return errors.New("optimize a network: there is no engine to prove it on")
	case pictures < least:
		return fmt.Errorf("optimize a network: %d pictures, and it takes %d or more to prove something: where something is learned half of them are kept back", pictures, least)
	case !(c.Agreement >= 0 && c.Agreement <= 1):
		return fmt.Errorf("optimize a network: an agreement of %v is not within 0 and 1", c.Agreement)
	}
	return nil
}

// place refuses to write where the network would be lost or read as another.
func (c Config) place() error {
	if c.DryRun {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(c.Out)); err != nil {
		return fmt.Errorf("write the network: %w", err)
	}
	if out, err := os.Stat(c.Out); err == nil {
		if in, err := os.Stat(c.Model); err == nil && os.SameFile(in, out) {
			return fmt.Errorf("write the network: %s is the original, which is needed later: name another file", c.Out)
		}
	}
	if beside := onnx.SidecarName(c.Out); isThere(beside) {
		return fmt.Errorf("write the network: %s would be taken for its description: name another file, or move that", beside)
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lower arranges a network in floats for the one engine that it is made for, as the
// last step before it is judged; the report's After is of the network before.
func lower(c Config, r *Report, m *graph.Model, shape onnx.Shape) {
	if !lowers(c) {
		return
	}
	n, saved := exact.Winograd(m, m.Graph.Shapes(shape.Width, shape.Height))
	if n == 0 {
		return
	}
	size := SizeOf(m, shape.Width, shape.Height)
	if size.MACs = 0; r.After.MACs > 0 {
		size.MACs = r.After.MACs - saved
	}
	r.After = size
	r.Steps = append(r.Steps, Step{Name: "winograd", Count: n, Detail: "convolutions of 3×3 make four rows with half of the multiplications (Winograd's minimal filtering), for ONNX Runtime"})
}

// lowers tells whether the network is for an engine that gains from it: others have
// ways of their own.
func lowers(c Config) bool { return !c.Plain && slices.Equal(c.Engines, []string{plainEngine}) }
