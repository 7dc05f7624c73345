package onnx

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"sightline/internal/ort"
)

// gpuPlan is a network compiled for one input size on a GPU: one session of ONNX
// Runtime, because TensorRT's engines are built for a size.
type gpuPlan struct {
	*gpu
	shape   Shape
	runs    string // precision
	session *ort.Session
	outputs []output
	anchors int   // candidates that a picture can have
	buckets []int // pictures that are computed in one run, rising
	direct  bool  // a provider of the GPU computes, else the CPU does
	graphed bool
	first   *gpuSlots // that tried it, until somebody wants them
}

// plan makes the session and tries it: some of what a provider cannot do shows in a
// run only. It blocks for minutes where TensorRT has to build an engine.
func (g *gpu) plan(c candidate, model []byte, shape Shape, graphs bool) (plan, error) {
	p := &gpuPlan{
		gpu: g, shape: shape, outputs: g.spec.family.outputs(shape), direct: c.name != onnxRuntime, graphed: graphs,
		runs: c.precision(g.cfg, g.spec, g.device.Info().Compute), buckets: buckets(g.spec.Input.Chunk, g.cfg.MaxBatch),
	}
	p.anchors = g.spec.family.anchors(shape)
	threads := 1
	if !p.direct {
		threads = runtime.GOMAXPROCS(0) // it is the only worker
	}
	err := g.device.Do(func() (err error) {
		p.session, err = g.lib.NewSession(model, threads, g.providers(c, shape, graphs)...)
		return err
	})
	if err != nil {
		return nil, g.device.Fault(err)
	}
	if err = p.told(c); err == nil {
		err = p.try()
	}
	if err == nil && c.name == tensorRT {
		err = g.keep(c, shape)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// try makes the first slots and runs whatever they can run.
func (p *gpuPlan) try() (err error) {
	if p.first, err = p.newSlots(); err == nil {
		err = p.first.warm()
	}
	return err
}

// told refuses a session that does not take pictures from the GPU, and logs where the
// nodes of the network run: a provider leaves what it does not know to the next one.
func (p *gpuPlan) told(c candidate) error {
	if !p.direct {
		return nil
	}
	if n, err := p.session.InputsOnGPU(); err != nil || n == 0 {
		return errors.Join(err, errors.New("it leaves the network's input to the CPU, which would see no picture but the first"))
	}
	nodes, err := p.session.Assigned()
	if err != nil || nodes == nil {
		return err
	}
	first := map[string]string{tensorRT: "TensorrtExecutionProvider", cudaEngine: "CUDAExecutionProvider"}[c.name]
	if nodes[first] == 0 {
		return fmt.Errorf("it takes no part of the network")
	}
	for provider, n := range nodes {
		if provider != first {
			p.log.Warn("part of a network runs on another engine", slog.String("model", p.cfg.Name), slog.String("engine", c.name),
				slog.String("provider", provider), slog.Int("nodes", n), slog.Int("of", sum(nodes)))
		}
	}
	return nil
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// buckets are how many pictures are computed at a time: powers of two, and most.
// A network that takes one picture only has one bucket, of one.
func buckets(chunk, most int) []int {
	if chunk < 2 {
		return []int{1}
	}
	var all []int
	for n := 1; n < most; n *= 2 {
		all = append(all, n)
	}
	return append(all, most)
}

// spans are the runs that compute the first rows rows: one of the smallest bucket
// that holds them, whose other rows come to nothing.
func (p *gpuPlan) spans(rows int) []span {
	if p.single() {
		var all []span
		for i := range rows {
			all = append(all, span{i, 1})
		}
		return all
	}
	for _, n := range p.buckets {
		if n >= rows {
			return []span{{0, n}}
		}
	}
	panic("onnx: more rows than the largest bucket")
}

// single tells whether a run computes one picture only.
func (p *gpuPlan) single() bool { return p.buckets[len(p.buckets)-1] == 1 }

// step is how far apart rows of so many bytes begin. A run begins at multiples of 256
// bytes, as TensorRT demands of tensors: with one picture a run, that is each row.
func (p *gpuPlan) step(bytes int) int {
	const align = 256
	if p.single() {
		return (bytes + align - 1) / align * align
	}
	return bytes
}

func (p *gpuPlan) precision() string { return p.runs }

// Close frees the session where its provider's parts belong, in the device's context;
// after a loss, wherever that is.
func (p *gpuPlan) Close() {
	if p.first != nil {
		p.first.Close()
	}
	free := func() error { p.session.Close(); return nil }
	if p.do(free) != nil {
		p.session.Close()
	}
}
