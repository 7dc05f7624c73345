package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sightline/kernels/cuda"
	"sightline/pipelines/spec"
)

// gpuLost is why packets and pictures are not analyzed that were on a GPU when it was
// lost, or come while nothing runs the network; and what streams are told to be since.
const gpuLost = "gpu_lost"

// gpus opens devices; tests have others than this machine's.
type gpus struct {
	list func() ([]cuda.Info, error)
	open func(cuda.Config) (cuda.Device, error)
}

// gpu is one device that the pipeline's networks and decoders share: opened once, and
// again after it was lost. Whoever uses it asks for it each time. A nil gpu is the CPU.
type gpu struct {
	index    int
	budget   int64
	deadline time.Duration // of the oldest row of a batch
	open     func(cuda.Config) (cuda.Device, error)
	log      *slog.Logger

	detectors []*detector
	streams   []*stream
	unfit     map[string]error // networks that nothing computes on it, by model

	mu     sync.Mutex
	device cuda.Device // nil while it is lost
	dying  cuda.Device // lost, and not closed yet
	info   cuda.Info   // as it was last
	cause  error       // why it is lost
	losses uint64
	since  time.Time // it is lost, or there
}

func (g *gpu) String() string {
	if g == nil {
		return "CPU"
	}
	return fmt.Sprintf("cuda:%d", g.index)
}

// current is the device, nil while it is lost, and of a nil gpu.
func (g *gpu) current() cuda.Device {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.device
}

// lost says why the device is away, nil while it is there.
func (g *gpu) lost() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

func (g *gpu) adopt(d *detector) {
	if g != nil {
		g.detectors = append(g.detectors, d)
	}
}

// GPUs are those that settings let networks run on: the one that they name, else all that
// list finds; none is the CPU. It fails where they demand one and none is there.
func GPUs(d spec.Detect, list func() ([]cuda.Info, error)) ([]cuda.Info, error) {
	name, named := strings.CutPrefix(d.Device, "cuda:")
	switch {
	case d.Device == "cpu", !named && d.Engine == "openvino":
		return nil, nil
	case named:
		index, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("detect.device: %w", err)
		}
		return []cuda.Info{{Index: index}}, nil
	}
	found, err := list()
	switch {
	case err == nil && len(found) > 0:
		return found, nil
	case d.Engine == "tensorrt":
		return nil, fmt.Errorf("detect.engine: tensorrt needs a GPU: %w", errors.Join(err, errNoGPU))
	}
	return nil, nil // what keeps it from being used, doctor tells
}

// place is where a stream's network runs and, as decode.hwaccel says, its pictures are
// decoded: the device that is named, or else the one with the most free memory for each
// stream it has, or nil, the CPU, where there is none.
func (p *Pipeline) place(st *spec.Stream) (*gpu, error) {
	d := p.spec.Detect
	if !st.Detect.Enabled {
		return nil, nil
	}
	found, err := GPUs(d, p.devices.list)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b cuda.Info) int { return int(p.room(b)>>20 - p.room(a)>>20) })
	var failed []error
	for _, info := range found {
		g, err := p.gpu(info.Index)
		if err == nil {
			return g, nil
		}
		failed = append(failed, err)
	}
	if err := errors.Join(failed...); d.Engine == "tensorrt" || strings.HasPrefix(d.Device, "cuda:") {
		return nil, err
	}
	p.log.Warn("no GPU can be used, networks run on the CPU", slog.Any("error", errors.Join(failed...)))
	return nil, nil
}

var errNoGPU = errors.New("no GPU")

// room is the memory of a device for one stream more. What its networks take is no load.
func (p *Pipeline) room(info cuda.Info) int64 {
	for _, g := range p.gpus {
		if g.index == info.Index {
			return g.info.Free / int64(len(g.streams)+1)
		}
	}
	if info.Free == 0 { // unknown before it is opened
		return info.Total
	}
	return info.Free
}

// gpu opens a device at its first use.
func (p *Pipeline) gpu(index int) (*gpu, error) {
	for _, g := range p.gpus {
		if g.index == index {
			return g, nil
		}
	}
	g := &gpu{
		index: index, budget: int64(p.spec.Detect.Memory) / 2, deadline: p.spec.Detect.Batch.Deadline, open: p.devices.open, unfit: map[string]error{},
		log: p.log.With(slog.String("device", fmt.Sprintf("cuda:%d", index))), since: time.Now(),
	}
	device, err := g.openDevice()
	if err != nil {
		return nil, err
	}
	g.device, g.info = device, device.Info()
	p.gpus = append(p.gpus, g)
	g.log.Info("GPU opened", slog.String("name", g.info.Name), slog.String("driver", g.info.Driver), slog.Int64("free_mib", g.info.Free>>20))
	return g, nil
}

func (g *gpu) openDevice() (cuda.Device, error) {
	device, err := g.open(cuda.Config{Index: g.index, Budget: g.budget, Logger: g.log})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", g, err)
	}
	return device, nil
}

// close closes the device once nothing uses it anymore.
func (g *gpu) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, d := range []cuda.Device{g.device, g.dying} {
		if d != nil {
			if err := d.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", g, err))
			}
		}
	}
	g.device, g.dying = nil, nil
	return errors.Join(errs...)
}

// leaveUnused closes the devices that nothing is on: an open one takes memory.
func (p *Pipeline) leaveUnused() error {
	var errs []error
	p.gpus = slices.DeleteFunc(p.gpus, func(g *gpu) bool {
		unused := len(g.streams)+len(g.detectors) == 0
		if unused {
			errs = append(errs, g.close())
		}
		return unused
	})
	return errors.Join(errs...)
}

// attend gets the device back whenever it is lost, until ctx ends. Nothing else of the
// process notices.
func (g *gpu) attend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.current().Lost():
		}
		if !g.recover(ctx) {
			return
		}
	}
}

// recover clears a lost device and opens it again. Meanwhile streams are decoded in
// software, and their networks run on the CPU where an engine for that is there. It
// returns false where ctx ended first.
func (g *gpu) recover(ctx context.Context) bool {
	began := time.Now()
	dying := g.lose(began)
	for _, d := range g.detectors {
		d.replace(nil)
	}
	g.urge()
	var standIns sync.WaitGroup
	for _, d := range g.detectors {
		standIns.Go(func() { d.standIn(g.log) })
	}
	defer standIns.Wait()
	if !g.bury(ctx, dying) {
		return false
	}
	for n := 1; ; n++ {
		if !pause(ctx, backoff(n, time.Since(began), rand.Float64())) {
			return false
		}
		back, ok := g.reopenUntil(ctx)
		if !ok {
			return false
		}
		if back.err != nil {
			level := slog.LevelDebug
			if n&(n-1) == 0 { // ever more rarely
				level = slog.LevelWarn
			}
			g.log.Log(ctx, level, "GPU did not come back, trying again", slog.Any("error", back.err), slog.Int("attempt", n))
			continue
		}
		standIns.Wait()
		g.restore(back.device)
		for i, d := range g.detectors {
			d.replace(back.engines[i])
		}
		g.urge()
		g.log.Info("GPU is back", slog.Duration("after", time.Since(began)), slog.Int("attempt", n))
		return true
	}
}

// lose notes that the device is lost.
func (g *gpu) lose(at time.Time) (dying cuda.Device) {
	g.mu.Lock()
	defer g.mu.Unlock()
	dying, g.device = g.device, nil
	g.dying, g.cause, g.since = dying, dying.Err(), at
	g.losses++
	g.log.Error("GPU is lost, going on without it", slog.Any("error", g.cause), slog.Int("streams", len(g.streams)))
	return dying
}

func (g *gpu) restore(device cuda.Device) {
	info := device.Info() // while nothing is locked: the driver may be slow
	g.mu.Lock()
	defer g.mu.Unlock()
	g.device, g.info, g.cause, g.since = device, info, nil, time.Now()
}

// urge has the streams look at the device.
func (g *gpu) urge() {
	for _, s := range g.streams {
		s.queue.Urge()
	}
}

// buryEvery is how often a lost device is tried to be closed while something of it is in
// use: streams let go of it as soon as they have done with what they are at.
const buryEvery = 20 * time.Millisecond

// buryTold is after how many tries it is told what is in use, and ever more rarely then.
const buryTold = 512

func (g *gpu) bury(ctx context.Context, dying cuda.Device) bool {
	for n := 1; ; n++ {
		err := dying.Close()
		if !errors.Is(err, cuda.ErrBusy) {
			if err != nil {
				g.log.Warn("lost GPU was not cleared", slog.Any("error", err))
			}
			g.mu.Lock()
			g.dying = nil
			g.mu.Unlock()
			return true
		}
		if n >= buryTold && n&(n-1) == 0 {
			g.log.Warn("lost GPU cannot be opened again yet", slog.Any("error", err))
		}
		if !pause(ctx, buryEvery) {
			return false
		}
	}
}

// standIn has the network run on the CPU, if it can.
func (d *detector) standIn(log *slog.Logger) {
	e, err := d.load(nil)
	if err != nil {
		log.Warn("no engine stands in for the GPU: nothing is inferred until it is back", slog.Any("error", err))
		return
	}
	log.Info("the CPU stands in for the GPU", slog.Any("model", e.session.Info()))
	d.replace(e)
}
