package ort

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unsafe"
)

// Provider is an execution provider: the code that computes a network on a GPU.
// Options are its own, by the names that ONNX Runtime's documentation has.
type Provider struct {
	TensorRT bool // else CUDA
	Options  map[string]string
	Stream   unsafe.Pointer // the CUstream to compute on, which outlives the session; nil: one of the provider's
}

// Options of runs: see Binding.SetOption.
const (
	// Unsynchronized as 1 lets Run return before the provider's stream got there.
	Unsynchronized = "disable_synchronize_execution_providers"
	// GraphID numbers the CUDA graph that records the run, for providers that have
	// them enabled: one for each set of shapes and addresses, from 1 on, or NoGraph.
	GraphID = "gpu_graph_id"
	NoGraph = "-1"
)

// native is the provider for C, in memory that free gives back.
func (p Provider) native() (n C.ort_provider, free func()) {
	if p.TensorRT {
		n.tensorrt = 1
	}
	n.n, n.stream = C.size_t(len(p.Options)), p.Stream
	room := C.size_t(len(p.Options)+1) * C.size_t(unsafe.Sizeof((*C.char)(nil)))
	n.keys, n.values = (**C.char)(C.malloc(room)), (**C.char)(C.malloc(room))
	keys, values := unsafe.Slice(n.keys, len(p.Options)), unsafe.Slice(n.values, len(p.Options))
	for i, key := range slices.Sorted(maps.Keys(p.Options)) {
		keys[i], values[i] = C.CString(key), C.CString(p.Options[key])
	}
	return n, func() {
		for i := range keys {
			C.free(unsafe.Pointer(keys[i]))
			C.free(unsafe.Pointer(values[i]))
		}
		C.free(unsafe.Pointer(n.keys))
		C.free(unsafe.Pointer(n.values))
	}
}

// withNative calls f with providers for C.
func withNative(providers []Provider, f func(*C.ort_provider, C.size_t) error) error {
	all := make([]C.ort_provider, 0, len(providers)) // its pointers are C's
	for _, p := range providers {
		n, free := p.native()
		defer free()
		all = append(all, n)
	}
	return f(unsafe.SliceData(all), C.size_t(len(all)))
}

// Try loads a provider's libraries and lets it read its options, without a model.
// Whether it takes a network shows in NewSession only.
func (l *Library) Try(p Provider) error {
	return withNative([]Provider{p}, func(all *C.ort_provider, _ C.size_t) error { return taken(C.ort_try(l.c, all)) })
}

// Providers names the execution providers that the library was built with, such
// as CUDAExecutionProvider. Whether one works on this machine shows in Try.
func (l *Library) Providers() ([]string, error) {
	var names *C.char
	err := taken(C.ort_providers(l.c, &names))
	defer C.free(unsafe.Pointer(names))
	if err != nil {
		return nil, fmt.Errorf("list the providers of ONNX Runtime: %w", err)
	}
	return strings.Fields(C.GoString(names)), nil
}

// TensorRT is the version of the TensorRT that its provider has loaded, such as
// 101000 for 10.10.0: an engine that one version builds serves no other. It is 0
// before the provider was tried.
func TensorRT() int { return int(C.ort_tensorrt()) }

// Assigned counts the nodes of the network that each provider took when the
// session was made. It is nil where the library is older than 1.24 and cannot tell.
func (s *Session) Assigned() (map[string]int, error) {
	var names *C.char
	err := taken(C.ort_assigned(s.lib.c, s.c, &names))
	defer C.free(unsafe.Pointer(names))
	if err != nil {
		return nil, fmt.Errorf("ask where nodes of the network run: %w", err)
	}
	var counts map[string]int
	for _, name := range strings.Fields(C.GoString(names)) {
		if counts == nil {
			counts = map[string]int{}
		}
		counts[name]++
	}
	return counts, nil
}

// InputsOnGPU is how many inputs the session takes from a GPU's memory. A Binding
// copies any other when it is made, to where the session takes it, and all its runs
// see what was there then.
func (s *Session) InputsOnGPU() (int, error) {
	var n C.size_t
	if err := taken(C.ort_inputs_on_gpu(s.lib.c, s.c, &n)); err != nil {
		return 0, fmt.Errorf("ask where inputs of the network are taken from: %w", err)
	}
	return int(n), nil
}

// Memory names a kind of memory and the device it belongs to. Close frees it,
// after the Bindings over such memory were made.
type Memory struct {
	lib *Library
	c   *C.OrtMemoryInfo
}

// NewMemory names a kind of memory as ONNX Runtime does, "Cuda" for a GPU's,
// and the number of its device.
func (l *Library) NewMemory(name string, device int) (*Memory, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	m := &Memory{lib: l}
	if err := taken(C.ort_memory(l.c, text, C.int(device), &m.c)); err != nil {
		return nil, fmt.Errorf("name memory %s:%d: %w", name, device, err)
	}
	return m, nil
}

// Close frees the name.
func (m *Memory) Close() {
	if m.c != nil {
		C.ort_memory_free(m.lib.c, m.c)
		m.c = nil
	}
}
