package ort

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Tensor says where an input or output lives: memory of the caller's, outside
// the Go heap, which must stay in place until the Binding is closed.
type Tensor struct {
	Name string
	Type ElementType
	Dims []int64
	Data unsafe.Pointer
}

// bytes is the size of the tensor's memory.
func (t Tensor) bytes() int64 {
	n := map[ElementType]int64{Float32: 4, Float16: 2, Uint8: 1}[t.Type]
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Binding is one reusable run of a session over fixed memory: nothing is copied
// in or out. One goroutine at a time; different Bindings run concurrently.
type Binding struct {
	s *Session
	c *C.OrtIoBinding
}

// NewBinding ties tensors to the session's inputs and outputs by name.
func (s *Session) NewBinding(inputs, outputs []Tensor) (*Binding, error) {
	b := &Binding{s: s}
	if err := taken(C.ort_binding(s.lib.c, s.c, &b.c)); err != nil {
		return nil, fmt.Errorf("bind tensors: %w", err)
	}
	for i, group := range [][]Tensor{inputs, outputs} {
		for _, t := range group {
			if err := b.bind(t, C.int(i)); err != nil {
				b.Close()
				return nil, fmt.Errorf("bind tensor %q: %w", t.Name, err)
			}
		}
	}
	return b, nil
}

func (b *Binding) bind(t Tensor, output C.int) error {
	if t.bytes() <= 0 {
		return fmt.Errorf("unusable type %d or shape %v", t.Type, t.Dims)
	}
	name := C.CString(t.Name)
	defer C.free(unsafe.Pointer(name))
	dims := (*C.int64_t)(unsafe.SliceData(t.Dims))
	return taken(C.ort_bind(b.s.lib.c, b.c, output, name, C.int(t.Type), dims, C.size_t(len(t.Dims)), t.Data, C.size_t(t.bytes())))
}

// Run computes the outputs. It blocks until they are written; one native call.
func (b *Binding) Run() error {
	if err := taken(C.ort_run(b.s.lib.c, b.s.c, b.c)); err != nil {
		return fmt.Errorf("run with ONNX Runtime: %w", err)
	}
	return nil
}

// Close frees the binding, before its session.
func (b *Binding) Close() {
	if b.c != nil {
		C.ort_binding_free(b.s.lib.c, b.c)
		b.c = nil
	}
}
