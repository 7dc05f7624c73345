package emu

/*
#include <stdint.h>

static int call_begin(void* f, uintptr_t stream) { return ((int (*)(uintptr_t, int))f)(stream, 0); } // 0: global
static int call_end(void* f, uintptr_t stream, void** graph) { return ((int (*)(uintptr_t, void**))f)(stream, graph); }
static int call_destroy(void* f, void* graph) { return ((int (*)(void*))f)(graph); }
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Record has the calling thread, which has a context and is locked, record a CUDA graph
// of what is put into a stream, as ONNX Runtime does it: in the global mode. The function
// that it returns ends that on the same thread, and tells whether somebody spoiled it.
// Unlike the rest of this package it works on real drivers too.
func Record(stream unsafe.Pointer) (end func() error, err error) {
	s := C.uintptr_t(uintptr(stream))
	if code := C.call_begin(lookup("cuStreamBeginCapture_v2"), s); code != 0 {
		return nil, fmt.Errorf("begin to record a CUDA graph: error %d", code)
	}
	return func() error {
		var graph unsafe.Pointer
		if code := C.call_end(lookup("cuStreamEndCapture"), s, &graph); code != 0 {
			return fmt.Errorf("record a CUDA graph: error %d", code)
		}
		if code := C.call_destroy(lookup("cuGraphDestroy"), graph); code != 0 {
			return fmt.Errorf("destroy a CUDA graph: error %d", code)
		}
		return nil
	}, nil
}
