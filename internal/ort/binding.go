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
	Name    string
	Type    ElementType
	Dims    []int64
	Data    unsafe.Pointer // in host memory, where Memory is nil
	Memory  *Memory        // of a device
	Address uint64         // in it
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
	s   *Session
	c   *C.OrtIoBinding
	run *C.OrtRunOptions
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
	address, memory := C.uintptr_t(uintptr(t.Data)), (*C.OrtMemoryInfo)(nil) // not Go's memory: it stays
	if t.Memory != nil {
		address, memory = C.uintptr_t(t.Address), t.Memory.c
	}
	return taken(C.ort_bind(b.s.lib.c, b.c, output, name, C.int(t.Type), dims, C.size_t(len(t.Dims)), memory, address, C.size_t(t.bytes())))
}

// SetOption sets an option of all later runs, by ONNX Runtime's name for it; one that is
// set already is replaced.
func (b *Binding) SetOption(key, value string) error {
	k, v := C.CString(key), C.CString(value)
	defer C.free(unsafe.Pointer(k))
	defer C.free(unsafe.Pointer(v))
	if err := taken(C.ort_option(b.s.lib.c, &b.run, k, v)); err != nil {
		return fmt.Errorf("set %s of a run: %w", key, err)
	}
	return nil
}

// Run computes the outputs; one native call. It blocks until they are written,
// or, with a provider's stream and the option disable_synchronize_execution_providers,
// until the work is on that stream.
func (b *Binding) Run() error {
	if err := taken(C.ort_run(b.s.lib.c, b.s.c, b.run, b.c)); err != nil {
		return fmt.Errorf("run with ONNX Runtime: %w", err)
	}
	return nil
}

// Close frees the binding, before its session.
func (b *Binding) Close() {
	if b.c != nil {
		C.ort_binding_free(b.s.lib.c, b.c, b.run)
		b.c, b.run = nil, nil
	}
}
