//go:build cuda

package emu_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"sightline/kernels"
	"sightline/kernels/emu"
	"sightline/kernels/ptx"
)

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A context is current on one thread alone.
func TestCUDAContexts(t *testing.T) {
	before := emu.Counts().Live()
	r := newRig(t, "ptx")
	other := make(chan error)
	go func() {
		runtime.LockOSThread() // and ends with the goroutine
		_, err := cu.MemAlloc(1)
		other <- err
	}()
	wantError(t, "an allocation on a thread without a context", <-other, cu.InvalidContext)
	r.room(10)
	if got := emu.Counts(); got.Allocations != before.Allocations+1 || got.Bytes != before.Bytes+10 || got.Contexts != before.Contexts+1 || got.Modules != before.Modules+1 || got.Streams != before.Streams+1 {
		t.Errorf("%+v", got)
	}
	r.close()
	if after := emu.Counts().Live(); after != before {
		t.Errorf("left %+v, before %+v", after, before)
	}
}

// What is alive when its context is released dies with it, and is counted.
func TestCUDAAbandoned(t *testing.T) {
	before := emu.Counts()
	r := newRig(t, "ptx")
	r.room(10)
	r.memory = nil // forgotten
	r.close()
	if after := emu.Counts(); after.Abandoned != before.Abandoned+1 || after.Live() != before.Live() {
		t.Errorf("%+v, before %+v", after, before)
	}
}

func TestCUDAMemory(t *testing.T) {
	r := newRig(t, "ptx")
	defer r.close()
	const n = 1000
	p := r.room(n)
	if got := r.get(p, n); !bytes.Equal(got, bytes.Repeat([]byte{0xff}, n)) {
		t.Error("fresh memory is not filled with 0xFF")
	}
	b := make([]byte, n+1)
	wantError(t, "a copy from past the end", cu.MemcpyDtoH(unsafe.Pointer(&b[0]), cu.DevicePtr(p), n+1), cu.InvalidValue)
	wantError(t, "a copy to past the end", cu.MemcpyHtoD(cu.DevicePtr(p+1), unsafe.Pointer(&b[0]), n), cu.InvalidValue)
	wantError(t, "a fill past the end", cu.MemsetD8(cu.DevicePtr(p+n), 0, 1), cu.InvalidValue)
	wantError(t, "freeing within", cu.MemFree(cu.DevicePtr(p+256)), cu.InvalidValue)
	again, err := cu.MemAlloc(n)
	r.must(err)
	r.must(cu.MemFree(again))
	wantError(t, "freeing twice", cu.MemFree(again), cu.InvalidValue)
	_, err = cu.MemAlloc(1 << 40)
	wantError(t, "more than there is", err, cu.OutOfMemory)
	emu.Fail(emu.Alloc, 2)
	r.room(1)
	_, err = cu.MemAlloc(1)
	wantError(t, "the second allocation, which is to fail", err, cu.OutOfMemory)
	r.room(1)
	if got := emu.Counts(); got.PeakBytes < got.Bytes || got.Faults == 0 {
		t.Errorf("%+v", got)
	}
}

// thumbnail writes w × h bytes to out.
func (r *rig) thumbnail(out uint64, w, h int) {
	r.t.Helper()
	p := &kernels.Picture{Format: kernels.I420, Width: 8, Height: 8, Strides: [3]int{8, 4, 4}}
	y := r.put(make([]byte, 64))
	p.Planes = [3]unsafe.Pointer{pointer(y), pointer(y), pointer(y)}
	l, err := kernels.LaunchThumbnail(p, w, h, out)
	r.must(err)
	r.run(l)
}

// A kernel that leaves its memory is named, and its context lost until it is reset.
func TestCUDAGuard(t *testing.T) {
	emu.Report()
	r := newRig(t, "ptx")
	r.thumbnail(r.room(256), 32, 20)
	if err := r.finish(); err == nil || !strings.Contains(err.Error(), "IllegalAddress") {
		t.Errorf("a kernel that writes past its memory: %v", err)
	}
	if _, err := cu.MemAlloc(1); err == nil {
		t.Error("a lost context gives memory")
	}
	if report := emu.Report(); !regexp.MustCompile(`kernel va_thumbnail, block 0,1,0, thread 0,0,0: illegal address 0x`).MatchString(report) {
		t.Errorf("report %q", report)
	}
	r.close()
	r = newRig(t, "ptx")
	defer r.close()
	out := r.room(256)
	r.thumbnail(out, 32, 8)
	if r.get(out, 256)[255] == 0xff {
		t.Error("nothing is computed after the reset")
	}
}

// The host's memory is not a kernel's, though it is in the emulation's reach.
func TestCUDAHostMemory(t *testing.T) {
	emu.Report()
	r := newRig(t, "ptx")
	defer r.close()
	host := make([]byte, 64)
	p := &kernels.Picture{Format: kernels.I420, Width: 8, Height: 8, Strides: [3]int{8, 4, 4}}
	p.Planes = [3]unsafe.Pointer{unsafe.Pointer(&host[0]), unsafe.Pointer(&host[0]), unsafe.Pointer(&host[0])}
	l, err := kernels.LaunchThumbnail(p, 8, 8, r.room(64))
	r.must(err)
	r.run(l)
	if err := r.finish(); err == nil || !strings.Contains(err.Error(), "IllegalAddress") {
		t.Errorf("a picture in the host's memory: %v", err)
	}
	if report := emu.Report(); !strings.Contains(report, "kernel va_thumbnail, block 0,0,0, thread 0,0,0: illegal address 0x") {
		t.Errorf("report %q", report)
	}
	runtime.KeepAlive(host)
}

// GPUs read and write values at multiples of their size, which the processor here does
// not ask for.
func TestCUDAMisaligned(t *testing.T) {
	emu.Report()
	r := newRig(t, "ptx")
	defer r.close()
	y := r.put(make([]byte, 64))
	p := &kernels.Picture{Format: kernels.I420, Width: 8, Height: 8, Strides: [3]int{8, 4, 4}, Planes: [3]unsafe.Pointer{pointer(y), pointer(y), pointer(y)}}
	slot := kernels.Slot{Width: 8, Height: 8, Type: kernels.F32, Layout: kernels.NCHW, Order: kernels.RGB, Fit: kernels.Stretch}
	l, _, err := kernels.LaunchPreprocess(slot, p, r.room(slot.Size()+2)+2)
	r.must(err)
	r.run(l)
	if err := r.finish(); err == nil || !strings.Contains(err.Error(), "MisalignedAddress") {
		t.Errorf("a row that begins within a value: %v", err)
	}
	if report := emu.Report(); !strings.Contains(report, "kernel va_preprocess, block 0,0,0, thread 0,0,0: misaligned address 0x") {
		t.Errorf("report %q", report)
	}
}

// What a page does not catch, because allocations begin at multiples of 256, the
// watching kernels do, and who frees the memory.
func TestCUDAExactEnd(t *testing.T) {
	emu.Report()
	r := newRig(t, "race")
	r.thumbnail(r.room(99), 10, 10)
	r.must(r.finish())
	if report := emu.Report(); !strings.Contains(report, "kernel va_thumbnail, block 0,1,0, thread 9,1,0: 1 bytes at 0x") {
		t.Errorf("report %q", report)
	}
	r.close()
	if report := emu.Report(); !strings.Contains(report, "99 bytes of memory were written to at byte 99") {
		t.Errorf("report %q", report)
	}
}

// A fault that is no kernel's is Go's as before.
func TestCUDAFaultOfGo(t *testing.T) {
	r := newRig(t, "ptx")
	defer r.close()
	r.thumbnail(r.room(64), 8, 8)
	r.must(r.finish())
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var nothing *[4]byte
	nothing[len(t.Name())%4] = 1
}

func TestCUDAFailures(t *testing.T) {
	for kind, want := range map[string]string{emu.Launch: "LaunchFailed", emu.Device: "Unknown"} {
		r := newRig(t, "ptx")
		out := r.room(64)
		emu.Fail(kind, map[string]int{emu.Launch: 1, emu.Device: 2}[kind]) // behind the copy of the picture
		r.thumbnail(out, 8, 8)
		if err := r.finish(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", kind, err, want)
		}
		r.close()
		_, err := cu.Device(0).RetainPrimaryCtx()
		if (err != nil) != (kind == emu.Device) {
			t.Errorf("%s: the next context: %v", kind, err)
		}
		emu.Restore(0)
		if err == nil {
			err = cu.Device(0).ReleasePrimaryCtx()
		} else {
			err = nil
		}
		r.must(err)
	}
	r := newRig(t, "ptx")
	defer r.close()
	p, b := r.room(1), []byte{7}
	emu.Fail(emu.Copy, 1)
	wantError(t, "a copy that is to fail", cu.MemcpyHtoD(cu.DevicePtr(p), unsafe.Pointer(&b[0]), 1), cu.OperatingSystem)
	r.must(cu.MemcpyHtoD(cu.DevicePtr(p), unsafe.Pointer(&b[0]), 1))
}

// Streams work when they come to it: pageable memory is read during the call, and what
// a stream has not done is not to be seen.
func TestCUDALag(t *testing.T) {
	r := newRig(t, "ptx")
	defer r.close()
	defer emu.Lag(0)
	p, b := r.put([]byte{1, 1, 1}), []byte{2, 2, 2}
	emu.Lag(time.Hour)
	r.must(cu.MemcpyHtoDAsync(cu.DevicePtr(p), unsafe.Pointer(&b[0]), 3, r.stream))
	copy(b, []byte{3, 3, 3})
	event, err := cu.MakeEvent(0)
	r.must(err)
	r.must(event.Record(r.stream))
	wantError(t, "an event of a stream that is held", event.Query(), cu.NotReady)
	emu.Lag(0)
	r.must(event.Synchronize())
	if got := r.get(p, 3); !bytes.Equal(got, []byte{2, 2, 2}) {
		t.Errorf("%v", got)
	}
	r.must(cu.DestroyEvent(&event))
}

// The NULL stream waits for what blocking streams were given before it.
func TestCUDANullStream(t *testing.T) {
	r := newRig(t, "ptx")
	defer r.close()
	blocking, err := cu.MakeStream(cu.DefaultStream)
	r.must(err)
	p := r.room(1)
	emu.Lag(3 * time.Millisecond)
	defer emu.Lag(0)
	r.must(cu.MemsetD8Async(cu.DevicePtr(p), 4, 1, blocking))
	r.must(cu.MemsetD8Async(cu.DevicePtr(p), 5, 1, blocking))
	var b [1]byte
	r.must(cu.MemcpyDtoH(unsafe.Pointer(&b[0]), cu.DevicePtr(p), 1))
	if b[0] != 5 {
		t.Errorf("%d", b[0])
	}
	r.must(blocking.Destroy())
}

func TestCUDAModules(t *testing.T) {
	r := newRig(t, "ptx")
	defer r.close()
	load := func(text string) error {
		m, err := cu.LoadData(text)
		if err == nil {
			r.must(m.Unload())
		}
		return err
	}
	head := ".version 7.8\n.target sm_75\n"
	for what, c := range map[string]struct {
		text, want string
	}{
		"text that was not translated": {ptx.Text + "\n", "InvalidPtx"},
		"a newer PTX":                  {strings.Replace(ptx.Text, ".version 7.8", ".version 8.3", 1), "222"},
		"a newer GPU's":                {strings.Replace(ptx.Text, "sm_75", "sm_90", 1), "NoBinary"},
		"no PTX":                       {"hello", "InvalidImage"},
		"a cubin":                      {"\x7fELF", "NoBinary"},
	} {
		if err := load(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	emu.Kernels("cxx")
	defer emu.Kernels("ptx")
	if err := load(head + ".visible .entry va_thumbnail(.param .u64 a)\n{\n ret;\n}\n"); err == nil || !strings.Contains(err.Error(), "InvalidPtx") {
		t.Errorf("a kernel with too few parameters: %v", err)
	}
	if err := load(head + ".visible .entry other(.param .u32 a)\n{\n ret;\n}\n"); err == nil || !strings.Contains(err.Error(), "InvalidPtx") {
		t.Errorf("a narrow parameter: %v", err)
	}
	_, err := r.module.Function("nothing")
	wantError(t, "a function that is not there", err, cu.NotFound)
}

func TestCUDALaunchLimits(t *testing.T) {
	r := newRig(t, "ptx")
	defer r.close()
	f, err := r.module.Function("va_thumbnail")
	r.must(err)
	args := make([]unsafe.Pointer, 8)
	for i := range args {
		args[i] = unsafe.Pointer(new(uint64))
	}
	for _, c := range []struct {
		grid, block, shared int
		want                string
	}{{1, 257, 0, "OutOfResources"}, {1, 1025, 0, "InvalidValue"}, {0, 32, 0, "InvalidValue"}, {1, 0, 0, "InvalidValue"}, {1, 32, 1 << 20, "InvalidValue"}} {
		err := f.Launch(c.grid, 1, 1, c.block, 1, 1, c.shared, r.stream, args)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestCUDAEnvironment starts this program again with other settings.
func TestCUDAEnvironment(t *testing.T) {
	if os.Getenv("SIGHTLINE_EMU_CHILD") != "" {
		n, err := cu.NumDevices()
		if err != nil {
			t.Fatal(err)
		}
		mem, err := cu.Device(n - 1).TotalMem()
		if err != nil {
			t.Fatal(err)
		}
		println("devices", n, "memory", mem)
		r := newRig(t, "ptx")
		defer r.close()
		_, err = cu.MemAlloc(1)
		t.Log(err)
		return
	}
	for _, c := range []struct{ env, want string }{
		{"SIGHTLINE_EMU_DEVICES=0", "NoDevice"},
		{"SIGHTLINE_EMU_DEVICES=2", "devices 2 memory 8589934592"},
		{"SIGHTLINE_EMU_MEMORY=1000000", "devices 1 memory 1000000"},
		{"SIGHTLINE_EMU_DRIVER=11070", "PTX 7.8 is newer than driver 11070"},
		{"SIGHTLINE_EMU_FAIL=alloc=1", "OutOfMemory"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestCUDAEnvironment$", "-test.v")
		cmd.Env = append(os.Environ(), "SIGHTLINE_EMU_CHILD=1", c.env)
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%s: want %q in\n%s", c.env, c.want, out)
		}
	}
}
