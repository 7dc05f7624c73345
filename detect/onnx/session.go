package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"sightline/detect"
)

// maxShapes bounds the input sizes a session compiles: each costs tens of megabytes.
const maxShapes = 4

// Session is a network on an engine. Its methods may be called from several
// goroutines. Input sizes are compiled by Prepare, off the path of frames; a
// Batch is opened for a size that is ready.
type Session struct {
	spec *Spec
	cfg  Config
	log  *slog.Logger
	runs backend
	base Shape

	compiling sync.Mutex // one Prepare at a time
	open      sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	precision string
	stages    []*stage // ready sizes, in the order of Prepare
}

// stage is one input size, ready to run.
type stage struct {
	shape Shape
	plan  plan
	idle  []*Batch
}

// New reads the model, opens the engine and compiles nothing yet. The logger is
// told which engine runs, and later in which precision. Close frees the session.
func New(cfg Config, log *slog.Logger) (*Session, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure detection: %w", err)
	}
	spec, err := ReadSpec(cfg.Model)
	if err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = strings.TrimSuffix(filepath.Base(cfg.Model), filepath.Ext(cfg.Model))
	}
	if cfg.Precision == "int8" && !spec.Quantized {
		return nil, fmt.Errorf("precision int8: model %s is not quantized", cfg.Name)
	}
	s := &Session{spec: spec, cfg: cfg, log: log}
	if s.base, err = spec.base(cfg.Input); err != nil {
		return nil, fmt.Errorf("model %s: %w", cfg.Name, err)
	}
	if s.runs, err = openBackend(cfg, spec, log); err != nil {
		return nil, err
	}
	for _, why := range s.runs.refusals() {
		log.Warn("falling back to a slower inference engine", "engine", s.runs.engine(), "error", why)
	}
	if why := spec.unproved(s.runs.engine(), Processor()); why != "" {
		log.Warn("the network was not proved on this engine", "model", cfg.Name, "engine", s.runs.engine(), "error", why)
	}
	log.Info("inference engine opened", "engine", s.runs.engine(), "version", s.runs.version(), "model", cfg.Name,
		"family", spec.Family, "digest", spec.Digest[:12], "workers", s.Workers())
	return s, nil
}

// base is the size that the setting input asks for, before any aspect.
func (spec *Spec) base(input string) (Shape, error) {
	if input == "aspect" || input == "model" {
		return spec.Input.Base, nil
	}
	s, err := ParseShape(input)
	switch step := spec.Input.Step; {
	case err != nil:
		return Shape{}, err
	case spec.Input.Fixed && s != spec.Input.Base:
		return Shape{}, fmt.Errorf("input %s: the network takes %s only", s, spec.Input.Base)
	case !spec.Input.Fixed && (s.Width%step != 0 || s.Height%step != 0):
		return Shape{}, fmt.Errorf("input %s: width and height must be multiples of %d", s, step)
	}
	return s, nil
}

// Spec is what the session knows of its model. Read-only.
func (s *Session) Spec() *Spec { return s.spec }

// Info names the model, the engine and the precision that really run, as events
// carry them. The precision is empty until the first Prepare.
func (s *Session) Info() detect.Model {
	s.mu.Lock()
	defer s.mu.Unlock()
	return detect.Model{Name: s.cfg.Name, Digest: s.spec.Digest[:12], Engine: s.runs.engine(), Precision: s.precision}
}

// Fallbacks says why faster engines than the one that runs were passed over, in
// the order in which they were tried.
func (s *Session) Fallbacks() []error { return s.runs.refusals() }

// Graphs is how many CUDA graphs were recorded, 0 where Config asks for none or they
// cannot be: one for each batch size of each batch of each input size.
func (s *Session) Graphs() int {
	if g, ok := s.runs.(*gpu); ok {
		return g.numGraphs()
	}
	return 0
}

// Workers is how many Batches may Run at a time, each on one thread. More only
// wait for one another.
func (s *Session) Workers() int { return s.runs.workers() }

// MaxBatch is how many rows Open gives.
func (s *Session) MaxBatch() int { return s.cfg.MaxBatch }

// Ideal is the input size for pictures of width × height: what to Prepare when
// such pictures begin to come. Once four sizes are compiled it is the nearest of those.
func (s *Session) Ideal(width, height int) Shape {
	want := s.ideal(width, height)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.stages) < maxShapes {
		return want
	}
	return s.nearest(want)
}

// ShapeFor is the size to Open a batch with for pictures of width × height now:
// the ideal one if it is ready, else the nearest that is, into which they are
// letterboxed. If nothing is ready it is the ideal one, for the caller to Prepare.
func (s *Session) ShapeFor(width, height int) Shape {
	want := s.ideal(width, height)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nearest(want)
}

// Ready tells whether a size is compiled.
func (s *Session) Ready(shape Shape) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(shape) != nil
}

func (s *Session) ideal(width, height int) Shape {
	if s.cfg.Input != "aspect" || s.spec.Input.Fixed {
		return s.base
	}
	return aspect(s.base, s.spec.Input.Step, width, height)
}

func (s *Session) nearest(want Shape) Shape {
	best := want
	for i, st := range s.stages {
		if i == 0 || want.loss(st.shape) < want.loss(best) {
			best = st.shape
		}
	}
	return best
}

func (s *Session) find(shape Shape) *stage {
	for _, st := range s.stages {
		if st.shape == shape {
			return st
		}
	}
	return nil
}

var errClosed = errors.New("the session is closed")

// Prepare compiles an input size and runs it once. It blocks, for tenths of a
// second with small networks; a size that is ready returns at once. It fails
// beyond four sizes: see Ideal.
func (s *Session) Prepare(shape Shape) error {
	s.compiling.Lock()
	defer s.compiling.Unlock()
	s.mu.Lock()
	closed, full, ready := s.closed, len(s.stages) == maxShapes, s.find(shape) != nil
	s.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case ready:
		return nil
	case full:
		return fmt.Errorf("compile input size %s: %d sizes are compiled already", shape, maxShapes)
	}
	st, err := s.compile(shape)
	if err != nil {
		return fmt.Errorf("compile model %s for %s: %w", s.cfg.Name, shape, err)
	}
	precision := st.plan.precision()
	if want := s.cfg.Precision; s.spec.Quantized {
		precision = "int8"
	} else if want != "auto" && want != precision {
		st.close()
		return fmt.Errorf("precision %s: engine %s computes in %s on this machine", want, s.runs.engine(), precision)
	}
	s.mu.Lock()
	s.precision = precision
	s.stages = append(s.stages, st)
	s.mu.Unlock()
	s.log.Info("input size compiled", "model", s.cfg.Name, "size", shape.String(), "engine", s.runs.engine(), "precision", precision)
	return nil
}

// Cached tells whether the network is in the cache, compiled for an input size, so
// that Prepare takes it from there; ok is false for engines that keep nothing.
func (s *Session) Cached(shape Shape) (cached, ok bool) { return s.runs.cached(shape) }

// compile makes a stage and tries it on an empty picture.
func (s *Session) compile(shape Shape) (*stage, error) {
	model, err := readFile(s.cfg.Model)
	if err != nil {
		return nil, err
	}
	defer model.free()
	if sum := sha256.Sum256(model.bytes); hex.EncodeToString(sum[:]) != s.spec.Digest {
		return nil, errors.New("the model file has changed since the start")
	}
	st := &stage{shape: shape}
	if st.plan, err = s.runs.prepare(model.bytes, shape); err != nil {
		return nil, err
	}
	for range s.runs.batches() {
		b, err := newBatch(s, st)
		if err == nil {
			st.idle = append(st.idle, b)
			err = b.slots.warm()
		}
		if err != nil {
			st.close()
			return nil, err
		}
	}
	return st, nil
}

func (st *stage) close() {
	for _, b := range st.idle {
		b.slots.Close()
	}
	st.plan.Close()
}

// Close waits until every Batch is closed, then frees everything. Later calls
// of the session's methods fail; a second Close returns at once.
func (s *Session) Close() {
	s.compiling.Lock()
	defer s.compiling.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	s.open.Wait()
	for _, st := range s.stages {
		st.close()
	}
	s.stages = nil
	s.runs.Close()
}
