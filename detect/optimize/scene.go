package optimize

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// Numbers of pictures that are worth their time: more change little.
const (
	leastPictures = 8  // of which half are held back
	mostLearned   = 48 // that weights are fitted to
	mostTried     = 12 // that a group's loss is measured on
)

// leastVersion is that of ONNX's operators in which Pad has its amounts as an input.
const leastVersion = 11

// specialist makes a network for the pictures of one scene.
type specialist struct {
	ctx   context.Context
	c     Config
	r     *Report
	in    onnx.Input
	shape onnx.Shape
	log   *slog.Logger

	m     *graph.Model // simplified, nothing taken away but heads
	net   *prune.Net
	focus []string // values that tell where something is

	learn, check []*decode.Frame // to learn from, and to choose by
	prove        []*decode.Frame // the gate's
	known        []*decode.Frame // all others: what is chosen is fitted to them once more
	last         bool            // learn is known: what is fitted now is what is written
	gentle       bool            // little may go: of each group only the first channels are measured
	work         workdir
}

// scene takes away what the pictures of one camera do not need: outputs that never
// fire on them, and channels that others can make up for; the most of it that keeps
// the budget.
func scene(ctx context.Context, c Config, r *Report, m *graph.Model, in onnx.Input, shape onnx.Shape, frames []*decode.Frame, log *slog.Logger) error {
	if v := m.Opset(); v < leastVersion {
		return fmt.Errorf("its operators are those of ONNX version %d, and pruning wants %d or later: export it again with a newer one", v, leastVersion)
	}
	if len(frames) < leastPictures {
		return fmt.Errorf("%d pictures are too few to learn a scene from: give %d or more, better 80", len(frames), leastPictures)
	}
	parts := divide(frames)
	s := &specialist{ctx: ctx, c: c, r: r, in: in, shape: shape, log: log, learn: some(parts.learn, mostLearned), check: parts.choose, prove: parts.prove}
	s.known = some(slices.Concat(parts.learn, parts.choose), mostLearned)
	simplified := fmt.Sprintf("%x", sha256.Sum256(m.Write())) // with what a file beside the original says, and its size
	s.work = newWorkdir(c.Work, simplified, r.Calibration, shape.String(), fmt.Sprint(c.Classes, c.Least, s.block()), recipe)
	unlock, err := s.work.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.quiet(m); err != nil {
		return fmt.Errorf("look for outputs that never fire: %w", err)
	}
	s.trace()
	if err := s.affordable(); err != nil {
		return fmt.Errorf("%w: take mode general, a smaller input, or fewer pictures", err)
	}
	if err := s.turn(); err != nil {
		return fmt.Errorf("turn channels: %w", err)
	}
	if len(s.net.Groups) == 0 {
		return errors.New("no channels of this network may go: " + s.net.Describe())
	}
	groups := make([]int, len(s.net.Groups))
	for i := range groups {
		groups[i] = i
	}
	measured, err := s.measure(groups)
	if err != nil {
		return fmt.Errorf("measure what channels are needed for: %w", err)
	}
	return s.search(measured)
}

// recipe changes when what is kept for a later run would be made otherwise.
const recipe = "scene 2"

// lanes is how many channels of what comes out engines compute at once.
const lanes = 16

// block is how many channels go together. ONNX Runtime wants whole lanes of what goes
// in as well; OpenVINO's convolutions take half of that as fast.
func (s *specialist) block() int {
	if s.c.made() == "openvino" {
		return lanes / 2
	}
	return lanes
}

// made is the engine that a network is made for.
func (c Config) made() string {
	if len(c.Engines) == 0 {
		return ""
	}
	return c.Engines[0]
}

// trace follows the channels of the network and adds values that tell where
// something is, which are no part of what is written.
func (s *specialist) trace() {
	g := *s.m.Graph
	g.Nodes = slices.Clone(g.Nodes)
	s.focus = focusOn(s.m, &g)
	s.net = prune.Trace(&g, g.Shapes(s.shape.Width, s.shape.Height))
}

// some are at most so many of the frames, evenly.
func some(frames []*decode.Frame, most int) []*decode.Frame {
	if len(frames) <= most {
		return frames
	}
	out := make([]*decode.Frame, most)
	for i := range out {
		out[i] = frames[i*len(frames)/most]
	}
	return out
}

// noted adds a step to the report, measured on pictures that nothing is learned from.
func (s *specialist) noted(step Step, m *graph.Model, shape onnx.Shape) error {
	s.r.Steps = append(s.r.Steps, step)
	return noted(s.ctx, s.c, s.r, m, shape, s.prove, s.log)
}

func (s *specialist) progress(step string, done, of int) {
	if s.c.Progress != nil {
		s.c.Progress(step, done, of)
	}
}

// look runs a network over frames and hands on what its taps gave for each.
func (s *specialist) look(g *graph.Graph, taps []prune.Tap, frames []*decode.Frame, visit func(i int, seen [][]float32)) error {
	m := *s.m
	m.Graph = g
	values := make([]onnx.Value, len(taps))
	for i, t := range taps {
		values[i] = onnx.Value{Name: t.Name, Dims: t.Dims}
	}
	tap, err := onnx.NewTap(s.c.LibDirs, m.Write(), s.in, s.shape, values)
	if err != nil {
		return err
	}
	defer tap.Close()
	for i, f := range frames {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		seen, err := tap.Look(f)
		if err != nil {
			return err
		}
		visit(i, seen)
	}
	return nil
}

// keep saves what a later run need not make again; that it cannot is no reason to
// fail.
func (s *specialist) keep(name string, data []byte) {
	if err := s.work.Save(name, data); err != nil {
		s.log.Warn("a run that goes on later will do this again", "error", err)
	}
}

// marshal is for small values of our own.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of numbers and lists
	}
	return text
}
