package ort

import (
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"sightline/internal/testkit"
)

func library(t *testing.T) *Library {
	t.Helper()
	lib, err := Open(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so"))
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

func session(t *testing.T) *Session {
	t.Helper()
	s, err := library(t).NewSession(model(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// memory is a tensor with memory outside the Go heap.
func memory(t *testing.T, name string, kind ElementType, dims ...int64) Tensor {
	t.Helper()
	tensor := Tensor{Name: name, Type: kind, Dims: dims}
	m, err := syscall.Mmap(-1, 0, int(tensor.bytes()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(m) })
	tensor.Data = unsafe.Pointer(&m[0])
	return tensor
}

// binding ties all ports of the default model, for two pictures of 64×96.
func binding(t *testing.T, s *Session) (b *Binding, input []byte, scores []float32) {
	t.Helper()
	in := memory(t, "images", Uint8, 2, 64, 96, 3)
	outs := []Tensor{
		memory(t, "cls8", Float32, 2, 96, 80), memory(t, "cls16", Float32, 2, 24, 80), memory(t, "cls32", Float32, 2, 6, 80),
		memory(t, "reg8", Float32, 2, 96, 44), memory(t, "reg16", Float32, 2, 24, 44), memory(t, "reg32", Float32, 2, 6, 44),
	}
	b, err := s.NewBinding([]Tensor{in}, outs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, unsafe.Slice((*byte)(in.Data), in.bytes()), unsafe.Slice((*float32)(outs[0].Data), 2*96*80)
}

func TestRun(t *testing.T) {
	s := session(t)
	one, input, scores := binding(t, s)
	two, _, black := binding(t, s)
	for i := range input {
		input[i] = byte(i * i >> 3)
	}
	copy(input[len(input)/2:], input[:len(input)/2])
	var wg sync.WaitGroup
	for _, b := range []*Binding{one, two} {
		wg.Go(func() {
			for range 5 {
				if err := b.Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	first, second := scores[:96*80], scores[96*80:]
	if !slices.Equal(first, second) {
		t.Error("the same picture twice in a batch gives different scores")
	}
	if slices.Max(first) <= 0 || slices.Equal(first, black[:96*80]) {
		t.Error("noise and black give the same scores: the input was not read")
	}
}

func TestPorts(t *testing.T) {
	s := session(t)
	if len(s.Inputs) != 1 || len(s.Outputs) != 6 {
		t.Fatalf("inputs %+v, outputs %+v", s.Inputs, s.Outputs)
	}
	in, out := s.Inputs[0], s.Outputs[0]
	if in.Name != "images" || in.Type != Uint8 || !slices.Equal(in.Dims, []int64{-1, -1, -1, 3}) {
		t.Errorf("input %+v", in)
	}
	if out.Name != "cls8" || out.Type != Float32 || !slices.Equal(out.Dims, []int64{-1, -1, 80}) {
		t.Errorf("output %+v", out)
	}
	if v := s.lib.Version(); strings.Count(v, ".") < 2 {
		t.Errorf("version %q", v)
	}
}

func TestErrors(t *testing.T) {
	lib, s := library(t), session(t)
	for want, try := range map[string]func() error{
		"cannot open shared object": func() error { _, err := Open("libonnxruntime_of_nobody.so"); return err },
		"no OrtGetApiBase":          func() error { _, err := Open("libc.so.6"); return err },
		"the model is empty":        func() error { _, err := lib.NewSession(nil, 1); return err },
		"compile with ONNX Runtime": func() error { _, err := lib.NewSession([]byte("hello, this is a text file"), 1); return err },
		`bind tensor "pictures"`: func() error {
			_, err := s.NewBinding([]Tensor{memory(t, "pictures", Uint8, 1, 64, 96, 3)}, nil)
			return err
		},
		"unusable type 1 or shape [0]": func() error {
			_, err := s.NewBinding([]Tensor{{Name: "images", Type: Float32, Dims: []int64{0}}}, nil)
			return err
		},
		"Got invalid dimensions": func() error {
			b, err := s.NewBinding([]Tensor{memory(t, "images", Uint8, 1, 64, 96, 4)}, nil)
			if err != nil {
				return err
			}
			defer b.Close()
			return b.Run()
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	lib, err := Open(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := lib.NewSession(model(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBinding(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.Close()
		s.Close()
		lib.Close()
	}
}
