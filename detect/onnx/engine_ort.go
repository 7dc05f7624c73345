package onnx

import (
	"fmt"
	"sync"
	"unsafe"

	"sightline/internal/ort"
	"sightline/kernels"
)

// ortEngine keeps one native session for all shapes: it takes any.
type ortEngine struct {
	lib *ort.Library

	mu      sync.Mutex
	session *ort.Session
}

func newONNXRuntime(cfg Config) (engine, error) {
	if cfg.Precision == "bf16" || cfg.Precision == "f16" {
		return nil, fmt.Errorf("engine %s computes in f32 or int8 on a CPU, not in %s", onnxRuntime, cfg.Precision)
	}
	path := findLibrary(onnxRuntime, cfg.LibDirs)
	lib, err := ort.Open(path)
	if err != nil {
		return nil, missing(onnxRuntime, path, cfg.LibDirs, err)
	}
	return &ortEngine{lib: lib}, nil
}

func (e *ortEngine) version() string { return e.lib.Version() }

func (e *ortEngine) Close() {
	if e.session != nil {
		e.session.Close()
	}
	e.lib.Close()
}

func (e *ortEngine) compile(model []byte, _ *Spec, _ Shape, _ int) (program, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil {
		s, err := e.lib.NewSession(model, 1)
		if err != nil {
			return nil, err
		}
		e.session = s
	}
	return ortProgram{e.session}, nil
}

type ortProgram struct{ session *ort.Session }

func (p ortProgram) precision() string { return "f32" }
func (p ortProgram) Close()            {} // the engine owns the session

func (p ortProgram) request(spec *Spec, shape Shape, rows int, input unsafe.Pointer, outs []unsafe.Pointer) (request, error) {
	var outputs []ort.Tensor
	for i, o := range spec.family.outputs(shape) {
		dims := []int64{int64(rows)}
		for _, d := range o.dims {
			dims = append(dims, int64(d))
		}
		outputs = append(outputs, ort.Tensor{Name: o.name, Type: ort.Float32, Dims: dims, Data: outs[i]})
	}
	in := spec.Input
	inputs := []ort.Tensor{{Name: in.Name, Type: in.element(), Dims: in.dims(shape, rows), Data: input}}
	b, err := p.session.NewBinding(inputs, outputs)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// element is the type of the input's elements.
func (in Input) element() ort.ElementType {
	return map[kernels.Type]ort.ElementType{kernels.U8: ort.Uint8, kernels.F16: ort.Float16, kernels.F32: ort.Float32}[in.Type]
}
