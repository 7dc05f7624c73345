package onnx

import (
	"fmt"
	"unsafe"
)

// engine runs networks on the CPU with one library. Its methods may be called
// from several goroutines. Close comes after Close of all it made.
type engine interface {
	version() string
	// compile makes spec's network, whose file is model, ready for rows pictures
	// of shape at a time. It blocks.
	compile(model []byte, spec *Spec, shape Shape, rows int) (program, error)
	Close()
}

// program is a compiled network. Its requests may run concurrently.
type program interface {
	precision() string // that it really computes in: f32, bf16, f16
	// request ties a run to memory outside the Go heap that stays in place: the
	// picture rows at input, and each of outs' places, in the family's order.
	request(spec *Spec, shape Shape, rows int, input unsafe.Pointer, outs []unsafe.Pointer) (request, error)
	Close()
}

// request is one run over fixed memory, used by one goroutine at a time.
type request interface {
	Run() error // one native call; blocks until the outputs are written
	Close()
}

// openEngine opens the engine that cfg asks for. auto is OpenVINO where its
// library opens, else ONNX Runtime, with why it is not OpenVINO.
func openEngine(cfg Config) (name string, e engine, refused []error, err error) {
	switch cfg.Engine {
	case openVINO:
		e, err = newOpenVINO(cfg)
		return openVINO, e, nil, err
	case onnxRuntime:
		e, err = newONNXRuntime(cfg)
		return onnxRuntime, e, nil, err
	}
	e, first := newOpenVINO(cfg)
	if first == nil {
		return openVINO, e, nil, nil
	}
	if e, err = newONNXRuntime(cfg); err != nil {
		return "", nil, nil, fmt.Errorf("no inference engine: %w; %w", first, err)
	}
	return onnxRuntime, e, []error{first}, nil
}

// Engine is an inference engine as found on this machine.
type Engine struct {
	Name    string
	Path    string // of its library
	Version string
	Err     error // why it cannot be used
}

// Engines opens each engine's library and says what is there; libDirs is as in Config.
func Engines(libDirs []string) []Engine {
	var all []Engine
	for _, name := range []string{openVINO, onnxRuntime} {
		found := Engine{Name: name, Path: findLibrary(name, libDirs)}
		cfg := Defaults()
		cfg.Engine, cfg.LibDirs = name, libDirs
		_, e, _, err := openEngine(cfg)
		if found.Err = err; err == nil {
			found.Version = e.version()
			e.Close()
		}
		all = append(all, found)
	}
	return all
}
