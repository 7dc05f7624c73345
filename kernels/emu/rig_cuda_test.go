//go:build cuda

package emu_test

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"gorgonia.org/cu"

	"sightline/kernels"
	"sightline/kernels/emu"
	"sightline/kernels/ptx"
)

func TestMain(m *testing.M) {
	if emu.Active() {
		os.Exit(m.Run())
	}
	println("skipped: these tests are of the emulated driver: run them with kernels/emu/run.sh")
	if os.Getenv("SIGHTLINE_REQUIRE") == "all" {
		os.Exit(1)
	}
}

// rig is the least that runs kernels: one context, one module, and memory whose ends
// are exact. It belongs to one thread.
type rig struct {
	t       testing.TB
	module  cu.Module
	stream  cu.Stream
	memory  []cu.DevicePtr
	working bool // no launch has failed
}

// newRig loads the kernels of that name (see emu.Kernels). Close it before the next.
func newRig(t testing.TB, name string) *rig {
	t.Helper()
	runtime.LockOSThread()
	r := &rig{t: t, working: true}
	ctx, err := cu.Device(0).RetainPrimaryCtx()
	r.must(err)
	r.must(cu.PushCurrentCtx(ctx))
	emu.Kernels(name)
	defer emu.Kernels("ptx")
	r.module, err = cu.LoadData(ptx.Text)
	r.must(err)
	r.stream, err = cu.MakeStream(cu.NonBlocking)
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// close gives everything back; after a failed launch by a reset.
func (r *rig) close() {
	r.t.Helper()
	if r.working {
		r.must(r.stream.Synchronize())
		for _, p := range r.memory {
			r.must(cu.MemFree(p))
		}
		r.must(r.stream.Destroy())
		r.must(r.module.Unload())
	} else {
		r.must(cu.Device(0).ResetPrimaryCtx())
	}
	_, err := cu.PopCurrentCtx()
	r.must(err)
	r.must(cu.Device(0).ReleasePrimaryCtx())
	runtime.UnlockOSThread()
}

// room is device memory of exactly n bytes, all of them 0xFF.
func (r *rig) room(n int) uint64 {
	r.t.Helper()
	p, err := cu.MemAlloc(int64(n))
	r.must(err)
	r.memory = append(r.memory, p)
	return uint64(p)
}

// put copies values to the device.
func (r *rig) put(b []byte) uint64 {
	r.t.Helper()
	p := r.room(len(b))
	r.must(cu.MemcpyHtoD(cu.DevicePtr(p), unsafe.Pointer(&b[0]), int64(len(b))))
	return p
}

func (r *rig) putFloats(f []float32) uint64 {
	r.t.Helper()
	return r.put(unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), 4*len(f)))
}

// run puts a kernel into the stream.
func (r *rig) run(l kernels.Launch) {
	r.t.Helper()
	f, err := r.module.Function(l.Kernel)
	r.must(err)
	args := make([]unsafe.Pointer, len(l.Args))
	for i := range l.Args {
		args[i] = unsafe.Pointer(&l.Args[i])
	}
	r.must(f.Launch(int(l.Grid[0]), int(l.Grid[1]), int(l.Grid[2]), int(l.Block[0]), int(l.Block[1]), int(l.Block[2]), 0, r.stream, args))
}

// finish waits for the stream. Its error is the kernels'.
func (r *rig) finish() error {
	err := r.stream.Synchronize()
	r.working = r.working && err == nil
	return err
}

// get copies n bytes back, after all kernels.
func (r *rig) get(p uint64, n int) []byte {
	r.t.Helper()
	b := make([]byte, n)
	if r.finish() != nil {
		return nil
	}
	r.must(cu.MemcpyDtoH(unsafe.Pointer(&b[0]), cu.DevicePtr(p), int64(n)))
	return b
}

// pointer is an address on the device as package kernels takes it.
func pointer(address uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
