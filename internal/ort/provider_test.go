package ort

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"sightline/internal/testkit"
)

// TestProviders asks a library that was built for the CPU for GPUs: each must be
// refused, with a reason, before the model is compiled.
func TestProviders(t *testing.T) {
	lib := library(t)
	names, err := lib.Providers()
	if err != nil || !slices.Contains(names, "CPUExecutionProvider") || slices.Contains(names, "CUDAExecutionProvider") {
		t.Fatalf("providers %v, %v", names, err)
	}
	data := model(t)
	for want, p := range map[string]Provider{
		"CUDA execution provider is":     {Options: map[string]string{"device_id": "0", "enable_cuda_graph": "1"}},
		"TensorRT execution provider is": {TensorRT: true, Options: map[string]string{"device_id": "0"}, Stream: memory(t, "", Uint8, 8).Data},
	} {
		if s, err := lib.NewSession(data, 1, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("session %v, error %v, want one with %q", s, err, want)
		}
		if err := lib.Try(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tried: %v, want an error with %q", err, want)
		}
		if v := TensorRT(); v != 0 {
			t.Errorf("TensorRT %d, and none was loaded", v)
		}
	}
}

// TestAssigned counts where the default model's nodes run: all on the CPU.
func TestAssigned(t *testing.T) {
	counts, err := session(t).Assigned()
	if err != nil || len(counts) != 1 || counts["CPUExecutionProvider"] < 50 {
		t.Errorf("nodes by provider %v, %v", counts, err)
	}
	if n, err := session(t).InputsOnGPU(); err != nil || n != 0 {
		t.Errorf("%d inputs are taken from a GPU, %v", n, err)
	}
}

// TestMemory binds by the name of a kind of memory. A device's that no provider
// looks after cannot be read.
func TestMemory(t *testing.T) {
	s := session(t)
	for _, c := range []struct{ name, want string }{{"Cpu", ""}, {"Cuda", "no data transfer registered"}} {
		m, err := s.lib.NewMemory(c.name, 0)
		if err != nil {
			t.Fatal(err)
		}
		in, out := memory(t, "images", Uint8, 1, 64, 96, 3), memory(t, "cls8", Float32, 1, 96, 80)
		scores := unsafe.Slice((*float32)(out.Data), 96*80)
		for _, tensor := range []*Tensor{&in, &out} {
			tensor.Memory, tensor.Address, tensor.Data = m, uint64(uintptr(tensor.Data)), nil
		}
		b, err := s.NewBinding([]Tensor{in}, []Tensor{out})
		m.Close()
		m.Close()
		if err == nil {
			err = b.Run()
			b.Close()
		}
		switch {
		case c.want == "" && (err != nil || slices.Max(scores) == 0):
			t.Errorf("%s: %v, best score %g", c.name, err, slices.Max(scores))
		case c.want != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := s.lib.NewMemory("Nobody's", 0); err == nil {
		t.Error("named a kind of memory that there is not")
	}
}

// TestRunOptions runs with the options of GPUs, which the CPU passes over, and
// checks that the library knows them at all: it does not refuse a misspelled one.
func TestRunOptions(t *testing.T) {
	s := session(t)
	b, input, scores := binding(t, s)
	text, err := os.ReadFile(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so"))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{Unsynchronized: "1", GraphID: "1"} {
		if err := b.SetOption(key, value); err != nil {
			t.Error(err)
		}
		if !bytes.Contains(text, []byte(key+"\x00")) {
			t.Errorf("%s is not in the library", key)
		}
	}
	if err := b.SetOption("", "1"); err == nil {
		t.Error("set an option without a name")
	}
	for i := range input {
		input[i] = byte(i)
	}
	if err := b.Run(); err != nil {
		t.Error(err)
	}
	if slices.Max(scores) <= 0 {
		t.Error("nothing was computed")
	}
}
