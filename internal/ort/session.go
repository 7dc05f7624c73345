package ort

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// ElementType is the type of a tensor's elements, numbered as in ONNX.
type ElementType int

// Element types that can be bound.
const (
	Float32 ElementType = C.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
	Uint8   ElementType = C.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
	Float16 ElementType = C.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
)

// Port is one input or output of a model. A dimension of -1 is not fixed.
type Port struct {
	Name string
	Type ElementType
	Dims []int64
}

// Session is a compiled model. Its Bindings may run concurrently where it has no
// provider's stream.
type Session struct {
	Inputs, Outputs []Port

	lib *Library
	c   *C.OrtSession
}

// NewSession compiles an ONNX model held in memory; the model is copied. Each of
// its nodes goes to the first of providers that takes it, or else to the CPU,
// where a run uses threads threads, the caller's among them. It blocks for as
// long as the compilation takes: tens of milliseconds for small networks on the
// CPU, minutes where TensorRT builds an engine. A provider that is not there or
// does not know an option is an error.
func (l *Library) NewSession(model []byte, threads int, providers ...Provider) (*Session, error) {
	if len(model) == 0 {
		return nil, errors.New("compile with ONNX Runtime: the model is empty")
	}
	s := &Session{lib: l}
	err := withNative(providers, func(all *C.ort_provider, n C.size_t) error {
		return taken(C.ort_session(l.c, unsafe.Pointer(unsafe.SliceData(model)), C.size_t(len(model)), C.int(threads), all, n, &s.c))
	})
	if err != nil {
		return nil, fmt.Errorf("compile with ONNX Runtime: %w", err)
	}
	if s.Inputs, err = s.ports(0); err == nil {
		s.Outputs, err = s.ports(1)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("describe the model: %w", err)
	}
	return s, nil
}

// Close frees the session. No Binding of it may be running or run later.
func (s *Session) Close() {
	if s.c != nil {
		C.ort_session_free(s.lib.c, s.c)
		s.c = nil
	}
}

func (s *Session) ports(output C.int) ([]Port, error) {
	var n C.size_t
	if err := taken(C.ort_count(s.lib.c, s.c, output, &n)); err != nil {
		return nil, err
	}
	var ports []Port
	for i := range n {
		var p C.ort_port
		err := taken(C.ort_describe(s.lib.c, s.c, output, i, &p))
		ports = append(ports, portOf(&p))
		if err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// portOf copies a description and frees its native parts.
func portOf(p *C.ort_port) Port {
	out := Port{Name: C.GoString(p.name), Type: ElementType(p._type)}
	for _, d := range unsafe.Slice(p.dims, p.rank) {
		out.Dims = append(out.Dims, int64(d))
	}
	C.free(unsafe.Pointer(p.name))
	C.free(unsafe.Pointer(p.dims))
	return out
}
