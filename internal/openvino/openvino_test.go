package openvino

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sightline/internal/testkit"
)

func library(t *testing.T) *Library {
	t.Helper()
	lib, err := Open(testkit.Dep(t, "openvino/lib/libopenvino_c.so"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lib.Close)
	return lib
}

func model(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(testkit.Dep(t, "models/coco-nano.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// memory is size bytes outside the Go heap.
func memory(t *testing.T, size int) []byte {
	t.Helper()
	m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(m) })
	return m
}

func tensor(name string, m []byte) Tensor {
	return Tensor{Name: name, Data: unsafe.Pointer(unsafe.SliceData(m)), Bytes: len(m)}
}

// request ties all ports of the default model at 64×96 to fresh memory.
func request(t *testing.T, c *Compiled) (r *Request, input []byte, scores []float32) {
	t.Helper()
	input = memory(t, 64*96*3)
	var outputs []Tensor
	for _, head := range []struct {
		stride string
		cells  int
	}{{"8", 96}, {"16", 24}, {"32", 6}} {
		cls := memory(t, head.cells*80*4)
		if scores == nil {
			scores = unsafe.Slice((*float32)(unsafe.Pointer(&cls[0])), head.cells*80)
		}
		outputs = append(outputs, tensor("cls"+head.stride, cls), tensor("reg"+head.stride, memory(t, head.cells*44*4)))
	}
	r, err := c.NewRequest([]Tensor{tensor("images", input)}, outputs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, input, scores
}

func TestInfer(t *testing.T) {
	lib := library(t)
	if v, err := lib.Version(); err != nil || !strings.Contains(v, ".") {
		t.Errorf("version %q, %v", v, err)
	}
	c, err := lib.Compile(model(t), Options{Input: "images", Dims: []int64{1, 64, 96, 3}, Streams: 2, Precision: "f32"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if p, err := c.Precision(); err != nil || p != "f32" {
		t.Errorf("precision %q, %v, want f32", p, err)
	}
	if n, err := c.Property("NUM_STREAMS"); err != nil || n != "2" {
		t.Errorf("streams %q, %v, want 2", n, err)
	}
	one, input, scores := request(t, c)
	two, _, black := request(t, c)
	for i := range input {
		input[i] = byte(i * i >> 3)
	}
	var wg sync.WaitGroup
	for _, r := range []*Request{one, two} {
		wg.Go(func() {
			for range 5 {
				if err := r.Infer(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var sum, dark float32
	for i := range scores {
		sum, dark = sum+scores[i], dark+black[i]
	}
	if sum <= 0 || sum == dark {
		t.Errorf("scores add up to %g on noise and %g on black: the input was not read", sum, dark)
	}
}

func TestErrors(t *testing.T) {
	lib := library(t)
	good := Options{Input: "images", Dims: []int64{1, 64, 96, 3}, Streams: 1}
	for name, try := range map[string]struct {
		model []byte
		o     Options
		want  string
	}{
		"no model":    {nil, good, "the model is empty"},
		"not a model": {[]byte("hello, this is a text file"), good, "read the model with OpenVINO"},
		"no input":    {model(t), Options{Input: "pictures", Dims: good.Dims, Streams: 1}, `reshape input "pictures"`},
		"bad shape":   {model(t), Options{Input: "images", Dims: []int64{1, 64}, Streams: 1}, "reshape input"},
		"precision":   {model(t), Options{Input: "images", Dims: good.Dims, Streams: 1, Precision: "f7"}, "compile with OpenVINO"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := lib.Compile(try.model, try.o)
			if err == nil {
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), try.want) {
				t.Errorf("error %v, want one with %q", err, try.want)
			}
		})
	}
	c, err := lib.Compile(model(t), good)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, tensors := range map[string][]Tensor{
		`"images": it takes 18432 bytes, not 100`: {tensor("images", memory(t, 100))},
		`"pictures"`: {tensor("pictures", memory(t, 18432))},
	} {
		if _, err := c.NewRequest(tensors, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := Open("libopenvino_of_nobody.so"); err == nil || !strings.Contains(err.Error(), "cannot open shared object") {
		t.Errorf("missing file: %v", err)
	}
	library(t)
	other := filepath.Join(t.TempDir(), "libopenvino_c.so")
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "has loaded the one in") {
		t.Errorf("second OpenVINO: %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	lib := library(t)
	c, err := lib.Compile(model(t), Options{Input: "images", Dims: []int64{1, 32, 32, 3}, Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.NewRequest(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.Close()
		c.Close()
		lib.Close()
	}
}

// TestSignalsAfterClose crashes if OpenVINO's stack for signals stays with a
// thread of Go's when the plug-in that owns it is gone.
func TestSignalsAfterClose(t *testing.T) {
	path, data := testkit.Dep(t, "openvino/lib/libopenvino_c.so"), model(t)
	runtime.LockOSThread() // this thread closes, another one compiles
	defer runtime.UnlockOSThread()
	lib, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	compiler, closed, end := make(chan int), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(end)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c, err := lib.Compile(data, Options{Input: "images", Dims: []int64{1, 32, 32, 3}, Streams: 1})
		if err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
		compiler <- unix.Gettid()
		<-closed
	}()
	thread := <-compiler
	lib.Close()
	if err := unix.Tgkill(os.Getpid(), thread, unix.SIGURG); err != nil {
		t.Error(err)
	}
	close(closed)
	<-end
}
