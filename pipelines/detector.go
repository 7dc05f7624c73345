package pipelines

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/kernels/cuda"
	"sightline/pipelines/spec"
)

// detector is one network that streams share. What runs it changes while they run where
// it is a GPU that is lost, and comes back; streams look for it with each frame.
type detector struct {
	config onnx.Config // on the device that it is meant for, which is put in by load
	gpu    *gpu        // nil: the CPU
	gate   *gate
	log    *slog.Logger
	spec   *onnx.Spec
	rows   int // of streams that lose nothing, under way at a time

	now atomic.Pointer[engine] // nil while nothing runs it

	moving  sync.Mutex
	running bool // between start and stop

	mu      sync.Mutex
	sizes   map[onnx.Shape]bool // that streams wanted, to be compiled again elsewhere
	changed chan struct{}       // closed and replaced when something else runs it
}

// engine is a network that is loaded on one device, with the batches of its streams.
type engine struct {
	session *onnx.Session
	batcher *batcher
	workers sync.WaitGroup
}

// Network is how a pipeline has the network in the file at path run. The device is left
// to the caller. What is kept of compiled networks depends on it, so who compiles ahead
// of time asks for it too.
func Network(sp *spec.Pipeline, path string, o Options) onnx.Config {
	c := onnx.Defaults()
	c.Model, c.Engine, c.Device, c.Precision = path, sp.Detect.Engine, sp.Detect.Device, sp.Detect.Precision
	c.Input = inputText(sp.Detect.Input)
	c.MaxBatch, c.LibDirs, c.Workers = sp.Detect.Batch.Max, o.LibDirs, o.Cores
	c.Reference, c.Memory, c.Graphs = o.Reference, sp.EngineMemory(), sp.Detect.CUDAGraphs
	return c
}

// load opens a network for a device, nil being the CPU, and compiles one size at least: it
// tells what precision really runs, and lets streams begin while their own is compiled.
func (d *detector) load(device cuda.Device) (*engine, error) {
	c := d.config
	c.GPU = device
	if device == nil {
		c.Device, c.Memory = "cpu", 0
		if c.Engine == "tensorrt" {
			c.Engine = "auto"
		}
	}
	s, err := onnx.New(c, d.log)
	if err != nil {
		return nil, err
	}
	shapes := d.compiled()
	if len(shapes) == 0 {
		shapes = []onnx.Shape{s.Ideal(16, 9)}
	}
	for _, shape := range shapes {
		if err := s.Prepare(shape); err != nil {
			s.Close()
			return nil, err
		}
	}
	d.log.Info("network is ready", slog.Any("model", s.Info()))
	b := newBatcher(opener(s), d.gate, c.MaxBatch)
	if device != nil {
		b.onGPU, b.deadline = true, d.gpu.deadline
	}
	return &engine{session: s, batcher: b}, nil
}

// compiled lists the sizes that streams have wanted.
func (d *detector) compiled() []onnx.Shape {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []onnx.Shape
	for s := range d.sizes {
		all = append(all, s)
	}
	return all
}

// want notes a size that a stream has wanted.
func (d *detector) want(s onnx.Shape) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sizes[s] = true
}

// start begins to run batches; stop ends it, after what is under way.
func (d *detector) start() {
	d.moving.Lock()
	defer d.moving.Unlock()
	if d.running {
		return
	}
	d.running = true
	if e := d.now.Load(); e != nil {
		e.start()
	}
}

func (d *detector) stop() {
	d.moving.Lock()
	defer d.moving.Unlock()
	d.running = false
	if e := d.now.Load(); e != nil {
		e.stop()
	}
}

// replace makes streams use e from their next frame on, nil being nothing, and waits for
// the batches of what was used before, which it closes.
func (d *detector) replace(e *engine) {
	d.moving.Lock()
	defer d.moving.Unlock()
	old := d.now.Load()
	if e != nil && d.running {
		e.start()
	}
	d.now.Store(e)
	d.tell()
	if old != nil {
		old.stop()
		old.session.Close()
	}
}

// changes is closed when something else runs the network.
func (d *detector) changes() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *detector) tell() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.changed)
	d.changed = make(chan struct{})
}

// close frees what is loaded. Nothing runs anymore.
func (d *detector) close() {
	if e := d.now.Swap(nil); e != nil {
		e.session.Close()
	}
}

func (e *engine) start() {
	for range e.session.Workers() {
		e.workers.Go(e.batcher.work)
	}
}

func (e *engine) stop() {
	e.batcher.close()
	e.workers.Wait()
}

// detector returns the network a stream asks for on the device it was given, loading it
// if it is the first.
func (p *Pipeline) detector(model string, g *gpu, o Options) (*detector, error) {
	key := detectorKey{model, g}
	if d := p.detectors[key]; d != nil {
		return d, nil
	}
	if g != nil && g.unfit[model] != nil {
		return nil, g.unfit[model]
	}
	path, err := onnx.Find(model, o.ModelDirs)
	if err != nil {
		return nil, err
	}
	c := Network(p.spec, path, o)
	d := &detector{config: c, gpu: g, gate: p.gate, log: p.log, sizes: map[onnx.Shape]bool{}, changed: make(chan struct{})}
	e, err := d.load(g.current())
	if auto := g != nil && c.Engine == "auto" && c.Device == "auto"; auto && (err != nil || e.session.Info().Engine == "onnxruntime") {
		if err == nil {
			err = errors.Join(e.session.Fallbacks()...)
			e.session.Close()
		}
		g.unfit[model] = fmt.Errorf("%s: %w: %w", g, errNoProvider, err)
		return nil, g.unfit[model]
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	d.spec, d.rows = e.session.Spec(), e.session.Workers()*2*c.MaxBatch
	d.now.Store(e)
	p.detectors[key] = d
	g.adopt(d)
	return d, nil
}

// errNoProvider says that nobody asked for the GPU and that it would not compute the
// network: then the CPU's fastest engine is better, with pictures in its own memory.
var errNoProvider = errors.New("no engine computes on it")

// detectorKey tells networks apart: streams of one share batches.
type detectorKey struct {
	model string
	gpu   *gpu // nil: the CPU
}

// network is one stream's place at a detector. The goroutine that decodes uses it alone.
type network struct {
	model    detect.Model
	batcher  *batcher
	writer   *onnx.Writer
	shapes   *shapes
	slots    chan struct{} // for rows under way of a stream that loses nothing
	session  *onnx.Session
	detector *detector         // nil: nothing is inferred
	config   onnx.WriterConfig // of the writer
	engine   *engine           // whose batcher and session it has; nil: nothing runs it
}

// follow goes over to what runs the network now; changed tells whether that was another
// engine before. ok is false while nothing runs it. What waits in batches comes back still.
func (n *network) follow() (changed, ok bool, err error) {
	e := n.detector.now.Load()
	if e == n.engine {
		return false, e != nil, nil
	}
	n.leave()
	if e == nil {
		return true, false, nil
	}
	if n.writer, err = e.session.NewWriter(n.config); err != nil {
		return true, false, err
	}
	n.engine, n.batcher, n.session, n.model = e, e.batcher, e.session, e.session.Info()
	n.shapes = n.shapes.at(e.session)
	return true, true, nil
}

// leave gives up what it has of an engine.
func (n *network) leave() {
	n.shapes.compiling.Wait()
	if n.writer != nil {
		n.writer.Close()
	}
	n.engine, n.writer = nil, nil
}

// employ makes the stream's pictures go into a network from now on.
func (s *stream) employ(n *network) {
	s.lane.fence() // a row that waits is the other engine's
	s.net, s.batcher, s.shapes, s.lane.writer = n, n.batcher, n.shapes, n.writer
	if m := n.model; m != s.model {
		s.model = m
		s.status.runs(m)
		s.analyst.control(s.lane.next(), control{model: &m})
	}
}

// follow makes the stream go where its network is. It returns false while that is nowhere.
func (s *stream) follow() bool {
	if s.net == nil { // it has but one engine, for good
		return true
	}
	changed, ok, err := s.net.follow()
	if err != nil {
		s.warnings.warn(s.log, "stream cannot use its network", err)
	}
	switch {
	case changed && ok:
		s.employ(s.net)
	case changed:
		s.lane.fence()
		s.lane.writer = nil
	}
	return ok
}

// awaitNetwork waits until something runs the network of a stream that loses nothing. It
// returns false for any other, and where the pipeline ends first.
func (s *stream) awaitNetwork() bool {
	if !s.lossless {
		return false
	}
	for {
		changed := s.net.detector.changes()
		if s.follow() {
			return true
		}
		select {
		case <-changed:
		case <-s.stopping:
			return false
		}
	}
}
