package onnx

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"sightline/internal/ort"
	"sightline/kernels/cuda"
)

// gpu computes on a device: networks with the best of ONNX Runtime's providers,
// all else with the kernels. One session has one stream for what it computes, on
// which everything is in order; a provider is bound to it for good.
type gpu struct {
	cfg     Config
	spec    *Spec
	log     *slog.Logger
	device  cuda.Device
	lib     *ort.Library
	memory  *ort.Memory // the device's, as ONNX Runtime calls it
	own     *share
	compute cuda.Stream
	groups  cuda.Memory // of the classes, an int32 each
	thread  *thread     // that networks run on where CUDA graphs are recorded, else nil

	running sync.Mutex // compute is one batch's at a time

	mu         sync.Mutex
	candidates []candidate // those not refused so far, the best first; one once an input size is ready
	refused    []error
	graphs     int // CUDA graphs so far, by number
	recorded   int // of them
}

func openGPU(cfg Config, spec *Spec, log *slog.Logger) (_ backend, err error) {
	path := findLibrary(onnxRuntime, cfg.LibDirs)
	g := &gpu{cfg: cfg, spec: spec, log: log, device: cfg.GPU, own: newShare(cfg.GPU, "network "+cfg.Name)}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	if g.lib, err = ort.Open(path); err != nil {
		return nil, missing(onnxRuntime, path, cfg.LibDirs, err)
	}
	if g.memory, err = g.lib.NewMemory("Cuda", g.device.Info().Index); err != nil {
		return nil, err
	}
	if g.compute, err = g.own.stream(); err != nil {
		return nil, err
	}
	if cfg.Graphs {
		g.thread = newThread()
	}
	all := groups(spec.Labels)
	if g.groups, err = g.own.alloc(4 * max(1, len(all))); err != nil {
		return nil, err
	}
	if err = g.compute.Upload(g.groups.Address(), bytesOf(all)); err != nil {
		return nil, err
	}
	return g, g.choose()
}

// choose drops the candidates that cannot work on this machine.
func (g *gpu) choose() error {
	for _, c := range candidatesFor(g.cfg.Engine) {
		err := c.fits(g.cfg, g.spec)
		if err == nil && c.name != onnxRuntime {
			err = g.device.Do(func() error { return g.lib.Try(g.provider(c, g.spec.Input.Base, false)) })
		}
		if err == nil {
			g.candidates = append(g.candidates, c)
			continue
		}
		if errors.Is(err, cuda.ErrLost) {
			return err
		}
		g.refused = append(g.refused, fmt.Errorf("engine %s: %w", c.name, err))
	}
	if len(g.candidates) == 0 {
		return fmt.Errorf("%w\n%s", errors.Join(g.refused...), advice)
	}
	return nil
}

const advice = "engines on GPUs need ONNX Runtime built for them: the wheel of the Python package onnxruntime-gpu has it. " +
	"Unpack libonnxruntime*.so* of it into a folder, name that folder in SIGHTLINE_LIBS, and let the loader find the " +
	"libraries of CUDA, cuDNN and TensorRT that it asks for (LD_LIBRARY_PATH). `sightline doctor` tells what is missing"

func (g *gpu) version() string { return g.lib.Version() }

// workers is one: a second batch would wait for the same stream.
func (g *gpu) workers() int { return 1 }

// batches is two: one is filled while the other one runs.
func (g *gpu) batches() int { return 2 }

func (g *gpu) engine() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.candidates[0].name
}

func (g *gpu) refusals() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.refused)
}

func (g *gpu) cached(shape Shape) (cached, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.candidates[0]; c.name == tensorRT {
		return g.engineFor(c, shape).kept(), true
	}
	return false, false
}

// prepare compiles for the best engine that takes the network. The first size
// decides: whatever comes later runs on the same.
func (g *gpu) prepare(model []byte, shape Shape) (plan, error) {
	for {
		g.mu.Lock()
		c, others := g.candidates[0], len(g.candidates) > 1
		g.mu.Unlock()
		p, err := g.compile(c, model, shape)
		if err == nil {
			g.mu.Lock()
			g.candidates = g.candidates[:1]
			g.mu.Unlock()
			return p, nil
		}
		if !others || errors.Is(err, cuda.ErrLost) || errors.Is(err, cuda.ErrBudget) || errors.Is(err, cuda.ErrMemory) {
			return nil, err // it is no matter of the engine
		}
		g.refuse(fmt.Errorf("engine %s: %w", c.name, err))
		g.mu.Lock()
		g.candidates = g.candidates[1:]
		g.mu.Unlock()
	}
}

// refuse notes why something faster is not done.
func (g *gpu) refuse(why error) {
	g.log.Warn("falling back to a slower inference engine", "model", g.cfg.Name, "error", why)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = append(g.refused, why)
}

// compile makes a size ready on one engine, with CUDA graphs if they are wanted
// and can be. TensorRT's provider has one graph for a session, whatever memory it was
// recorded over, where each batch size of two batches needs its own.
func (g *gpu) compile(c candidate, model []byte, shape Shape) (plan, error) {
	if c.name == tensorRT {
		if err := g.engineFor(c, shape).begin(); err != nil {
			return nil, err
		}
	}
	if g.cfg.Graphs && c.name != cudaEngine {
		g.log.Warn("no CUDA graphs: only engine cuda has them", "model", g.cfg.Name, "engine", c.name)
	}
	if g.cfg.Graphs && c.name == cudaEngine {
		p, err := g.plan(c, model, shape, true)
		if err == nil || errors.Is(err, cuda.ErrLost) {
			return p, err
		}
		g.refuse(fmt.Errorf("CUDA graphs on engine %s: %w", c.name, err))
	}
	return g.plan(c, model, shape, false)
}

// do runs f with the device's context, on the thread of CUDA graphs where there is one.
func (g *gpu) do(f func() error) error {
	if g.thread == nil {
		return g.device.Do(f)
	}
	return g.thread.do(func() error { return g.device.Do(f) })
}

// nextGraph numbers CUDA graphs from 1 on.
func (g *gpu) nextGraph() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.graphs++
	return g.graphs
}

// record counts CUDA graphs that were recorded.
func (g *gpu) record(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recorded += n
}

func (g *gpu) numGraphs() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.recorded
}

func (g *gpu) Close() {
	if err := g.own.free(); err != nil {
		g.log.Warn("a network left something on its GPU", "model", g.cfg.Name, "error", err)
	}
	if g.thread != nil {
		g.thread.close()
	}
	if g.memory != nil {
		g.memory.Close()
	}
	if g.lib != nil {
		g.lib.Close()
	}
}
