// Package emu looks into the emulated CUDA driver that tests run on, and disturbs it.
// It is for tests alone: nothing of the product imports it. What is modelled is in
// README.md; run.sh runs a command on the emulation.
//
// On a real driver, or none, Active is false, Counts is empty and the others panic.
package emu

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

// find looks a function of the emulation up in the driver that this process has loaded.
static void* find(const char* name) {
	void* f = dlsym(RTLD_DEFAULT, name);
	if (f) return f;
	void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD); // loaded, but not for everybody
	if (!driver) return 0;
	f = dlsym(driver, name);
	dlclose(driver);
	return f;
}
static int64_t call_count(void* f, const char* name) { return ((int64_t (*)(const char*))f)(name); }
static int call_fail(void* f, const char* kind, int64_t n) { return ((int (*)(const char*, int64_t))f)(kind, n); }
static void call_long(void* f, int64_t n) { ((void (*)(int64_t))f)(n); }
static void call_int(void* f, int n) { ((void (*)(int))f)(n); }
static void call_name(void* f, const char* name) { ((void (*)(const char*))f)(name); }
static size_t call_report(void* f, char* to, size_t room) { return ((size_t (*)(char*, size_t))f)(to, room); }
*/
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

// Ledger is what is alive on all emulated devices, the most there was, and what passed.
type Ledger struct {
	Allocations, Bytes, PeakBytes int64 // device memory
	Pinned, PinnedBytes           int64 // page-locked host memory
	Streams, Events, Modules      int64
	Contexts                      int64
	Decoders                      int64 // of NVDEC
	Surfaces, PeakSurfaces        int64 // decoded pictures that are mapped

	// Sums since the process began.
	Launches, Pictures       int64 // kernels, decoded pictures
	ToDevice, ToHost         int64 // bytes copied
	Abandoned, Faults, Races int64 // objects that died with their context, injected failures, races found
}

// Live returns the part of a ledger that must be back to where it was when all is
// closed: everything alive, without peaks and sums.
func (l Ledger) Live() Ledger {
	l.PeakBytes, l.PeakSurfaces = 0, 0
	l.Launches, l.Pictures, l.ToDevice, l.ToHost, l.Abandoned, l.Faults, l.Races = 0, 0, 0, 0, 0, 0, 0
	return l
}

// Kinds of operations that Fail makes fail; see driver/faults.cc for how.
const (
	Alloc   = "alloc"
	Pinned  = "pinned"
	Stream  = "stream"
	Event   = "event"
	Module  = "module"
	Copy    = "copy"    // the call alone fails
	Launch  = "launch"  // the kernel fails while it runs, and the context is lost
	Device  = "device"  // the device is gone at a launch or copy, until Restore
	Decoder = "decoder" // creation fails
	Codec   = "codec"   // no codec is supported
	Picture = "picture" // decoding one fails
	Map     = "map"     // a decoded picture cannot be mapped
)

// Active reports whether the CUDA driver of this process is the emulated one.
func Active() bool { return lookup("sightline_emu_count") != nil }

// Counts reads all counters. It does not wait for streams.
func Counts() Ledger {
	var l Ledger
	f := lookup("sightline_emu_count")
	if f == nil {
		return l
	}
	for name, to := range map[string]*int64{
		"allocations": &l.Allocations, "bytes": &l.Bytes, "peak_bytes": &l.PeakBytes,
		"pinned": &l.Pinned, "pinned_bytes": &l.PinnedBytes,
		"streams": &l.Streams, "events": &l.Events, "modules": &l.Modules, "contexts": &l.Contexts,
		"decoders": &l.Decoders, "surfaces": &l.Surfaces, "peak_surfaces": &l.PeakSurfaces,
		"launches": &l.Launches, "pictures": &l.Pictures, "to_device_bytes": &l.ToDevice, "to_host_bytes": &l.ToHost,
		"abandoned": &l.Abandoned, "faults": &l.Faults, "races": &l.Races,
	} {
		s := C.CString(name)
		*to = int64(C.call_count(f, s))
		C.free(unsafe.Pointer(s))
	}
	return l
}

// Fail makes the n-th operation of a kind from now fail, once. n < 0 lets each fail
// from now on, 0 none any more.
func Fail(kind string, n int) {
	s := C.CString(kind)
	defer C.free(unsafe.Pointer(s))
	if C.call_fail(need("sightline_emu_fail"), s, C.int64_t(n)) == 0 {
		panic(fmt.Sprintf("emu: there is no failure %q", kind))
	}
}

// Restore brings a device back that Fail took away.
func Restore(device int) { C.call_int(need("sightline_emu_restore"), C.int(device)) }

// Lag delays every operation on every stream, those under way too: Lag(time.Hour) holds
// all streams until Lag(0). Whoever waits for a stream meanwhile waits as well.
func Lag(d time.Duration) { C.call_long(need("sightline_emu_lag"), C.int64_t(d.Microseconds())) }

// Order sets in which order threads of a block run between barriers: 0 upward, 1
// downward, 2 scattered.
func Order(order int) { C.call_int(need("sightline_emu_order"), C.int(order)) }

// Skip passes over the barrier at a line of the PTX, as if it were not there; 0: none.
func Skip(line int) { C.call_int(need("sightline_emu_skip"), C.int(line)) }

// Kernels chooses what modules that are loaded later run: ptx (what ships), cxx (the
// C++ build of the same source), race (ptx, with each access watched) or the path of a
// library.
func Kernels(name string) {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	C.call_name(need("sightline_emu_kernels"), s)
}

// Report returns what went wrong inside kernels since it was called last, a line each:
// races and illegal addresses.
func Report() string {
	buf := make([]byte, 1<<16)
	n := C.call_report(need("sightline_emu_report"), (*C.char)(unsafe.Pointer(&buf[0])), C.size_t(len(buf)))
	return string(buf[:min(int(n), len(buf)-1)])
}

func need(name string) unsafe.Pointer {
	f := lookup(name)
	if f == nil {
		panic("emu: this process does not run on the emulated driver: start it with kernels/emu/run.sh")
	}
	return f
}

func lookup(name string) unsafe.Pointer {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.find(s)
}
