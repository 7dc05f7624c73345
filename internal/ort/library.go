// Package ort is a thin binding to ONNX Runtime's C API. The library is opened
// at run time, so a program that links this package starts without it. Each Go
// object owns one native object; Close frees it and may be called twice.
package ort

/*
#cgo CFLAGS: -O2 -Wall
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Library is an opened ONNX Runtime with its environment. Its methods may be
// called from several goroutines; Close comes last, after its sessions' Close.
type Library struct {
	c      *C.ort_library
	closed bool
}

// Open loads the library file at path (an absolute path, or a bare name for the
// loader's own search) and makes its environment. It takes some 10 ms.
func Open(path string) (*Library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	lib := (*C.ort_library)(C.calloc(1, C.sizeof_ort_library))
	if err := taken(C.ort_open(name, lib)); err != nil {
		C.free(unsafe.Pointer(lib))
		return nil, fmt.Errorf("open ONNX Runtime: %w", err)
	}
	return &Library{c: lib}, nil
}

// Version is the library's own, such as "1.31.1".
func (l *Library) Version() string { return C.GoString(l.c.version) }

// Close frees the environment. The library file stays mapped into the process.
func (l *Library) Close() {
	if l.closed {
		return
	}
	l.closed = true
	C.ort_close(l.c)
	C.free(unsafe.Pointer(l.c))
}

// taken turns a message of the C side into an error and frees it.
func taken(message *C.char) error {
	if message == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(message))
	return errors.New(C.GoString(message))
}
