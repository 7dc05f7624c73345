package openvino

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"
)

// Options say how a model is compiled.
type Options struct {
	Input     string  // name of the model's input
	Dims      []int64 // its shape, every dimension fixed
	Streams   int     // how many requests may run at a time, each on one thread
	Precision string  // "f32", "bf16", "f16"; empty: the fastest the CPU has
	Cache     string  // folder where compiled models are kept and looked for; empty: none
}

// Compiled is a model compiled for one input shape on the CPU. Its Requests may
// run concurrently, as many at a time as it has streams; others wait inside.
type Compiled struct {
	lib *Library
	c   *C.ov_compiled
}

// Compile reads an ONNX model from memory (the model is copied), gives its input
// a fixed shape and compiles it, or takes it from o.Cache. It blocks for as long as
// that takes: a tenth of a second for small networks.
func (l *Library) Compile(model []byte, o Options) (*Compiled, error) {
	if len(model) == 0 {
		return nil, errors.New("compile with OpenVINO: the model is empty")
	}
	var m *C.ov_model
	if err := taken(C.ov_read(l.c, unsafe.Pointer(unsafe.SliceData(model)), C.size_t(len(model)), &m)); err != nil {
		return nil, fmt.Errorf("read the model with OpenVINO: %w", err)
	}
	defer C.ov_drop_model(l.c, m)
	input := C.CString(o.Input)
	defer C.free(unsafe.Pointer(input))
	dims := (*C.int64_t)(unsafe.SliceData(o.Dims))
	if err := taken(C.ov_reshape(l.c, m, input, dims, C.size_t(len(o.Dims)))); err != nil {
		return nil, fmt.Errorf("reshape input %q to %v with OpenVINO: %w", o.Input, o.Dims, err)
	}
	streams := C.CString(strconv.Itoa(o.Streams))
	defer C.free(unsafe.Pointer(streams))
	precision := C.CString(o.Precision)
	defer C.free(unsafe.Pointer(precision))
	cache := C.CString(o.Cache)
	defer C.free(unsafe.Pointer(cache))
	c := &Compiled{lib: l}
	if err := taken(C.ov_compile(l.c, m, streams, precision, cache, &c.c)); err != nil {
		return nil, fmt.Errorf("compile with OpenVINO: %w", err)
	}
	return c, nil
}

// Precision is the one the compiled model really computes in: "f32", "bf16", "f16".
func (c *Compiled) Precision() (string, error) { return c.Property("INFERENCE_PRECISION_HINT") }

// Property reads a property of the compiled model as text.
func (c *Compiled) Property(key string) (string, error) {
	name := C.CString(key)
	defer C.free(unsafe.Pointer(name))
	var text *C.char
	if err := taken(C.ov_property(c.lib.c, c.c, name, &text)); err != nil {
		return "", fmt.Errorf("read property %s: %w", key, err)
	}
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text), nil
}

// Close frees the compiled model, after its requests.
func (c *Compiled) Close() {
	if c.c != nil {
		C.ov_drop_compiled(c.lib.c, c.c)
		c.c = nil
	}
}
