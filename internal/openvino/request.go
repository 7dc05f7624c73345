package openvino

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Tensor says where an input or output lives: Bytes bytes of the caller's
// memory, outside the Go heap, which must stay in place until the Request is
// closed. Element type and shape are the compiled model's.
type Tensor struct {
	Name  string
	Data  unsafe.Pointer
	Bytes int
}

// Request is one reusable run of a compiled model over fixed memory: nothing is
// copied in or out. One goroutine at a time; different Requests run concurrently.
type Request struct {
	compiled *Compiled
	c        *C.ov_request
}

// NewRequest ties tensors to the model's inputs and outputs by name. A size
// that is not the port's own is an error.
func (c *Compiled) NewRequest(inputs, outputs []Tensor) (*Request, error) {
	r := &Request{compiled: c}
	if err := taken(C.ov_make_request(c.lib.c, c.c, &r.c)); err != nil {
		return nil, fmt.Errorf("make an OpenVINO request: %w", err)
	}
	for i, group := range [][]Tensor{inputs, outputs} {
		for _, t := range group {
			if err := r.bind(t, C.int(i)); err != nil {
				r.Close()
				return nil, fmt.Errorf("bind tensor %q: %w", t.Name, err)
			}
		}
	}
	return r, nil
}

func (r *Request) bind(t Tensor, output C.int) error {
	name := C.CString(t.Name)
	defer C.free(unsafe.Pointer(name))
	return taken(C.ov_bind(r.compiled.lib.c, r.compiled.c, r.c, output, name, t.Data, C.size_t(t.Bytes)))
}

// Infer computes the outputs. It blocks until they are written; one native call.
func (r *Request) Infer() error {
	if err := taken(C.ov_infer(r.compiled.lib.c, r.c)); err != nil {
		return fmt.Errorf("run with OpenVINO: %w", err)
	}
	return nil
}

// Close frees the request, before its compiled model.
func (r *Request) Close() {
	if r.c != nil {
		C.ov_drop_request(r.compiled.lib.c, r.c)
		r.c = nil
	}
}
