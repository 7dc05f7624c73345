// Package openvino is a thin binding to OpenVINO's C API for running models on
// the CPU. The library is opened at run time, so a program that links this
// package starts without it. Each Go object owns one native object; Close frees
// it and may be called twice.
package openvino

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
	"path/filepath"
	"strings"
	"unsafe"
)

// Library is an opened OpenVINO with its core object. Its methods may be called
// from several goroutines; Close comes last, after Close of what it made.
type Library struct {
	c      *C.ov_library
	closed bool
}

// Open loads libopenvino_c from path (an absolute path, or a bare name for the
// loader's own search). Two OpenVINO versions in one process corrupt each other,
// so it fails when another one than path's is loaded already.
func Open(path string) (*Library, error) {
	if err := alone(path); err != nil {
		return nil, err
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	lib := (*C.ov_library)(C.calloc(1, C.sizeof_ov_library))
	if err := taken(C.ov_open(name, lib)); err != nil {
		C.free(unsafe.Pointer(lib))
		return nil, fmt.Errorf("open OpenVINO: %w", err)
	}
	return &Library{c: lib}, nil
}

// Version is the library's build number, such as "2026.4.1-22982-e213a147257".
func (l *Library) Version() (string, error) {
	var text *C.char
	if err := taken(C.ov_release(l.c, &text)); err != nil {
		return "", fmt.Errorf("ask OpenVINO's version: %w", err)
	}
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text), nil
}

// Close frees the core. The library files stay mapped into the process.
func (l *Library) Close() {
	if l.closed {
		return
	}
	l.closed = true
	C.ov_close(l.c)
	C.free(unsafe.Pointer(l.c))
}

// alone checks that no other OpenVINO than the one beside path is loaded.
func alone(path string) error {
	loaded := C.ov_loaded()
	if loaded == nil || !strings.Contains(path, "/") {
		return nil
	}
	defer C.free(unsafe.Pointer(loaded))
	if have, want := folder(C.GoString(loaded)), folder(path); have != want {
		return fmt.Errorf("open OpenVINO in %s: this process has loaded the one in %s already", want, have)
	}
	return nil
}

// folder is the real folder of a file, links followed.
func folder(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Dir(path)
}

// taken turns a message of the C side into an error and frees it.
func taken(message *C.char) error {
	if message == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(message))
	return errors.New(strings.TrimSpace(C.GoString(message)))
}
