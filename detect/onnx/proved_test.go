package onnx

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A network in 8-bit integers says so where it was not proved, on every engine but its
// own and on other processors; one in floats, or one that says nothing of it, does not.
func TestUnproved(t *testing.T) {
	made := map[string]string{MadeKey: `{"mode":"general","proved":[{"engine":"onnxruntime","precision":"int8"}],"processor":["amd64","avx2"]}`}
	spec := Spec{Quantized: true, proof: proof(made)}
	short := Spec{Quantized: true, proof: Proof{Engines: []Proved{{"openvino", "bf16"}}, Processor: []string{"amd64", "avx2"}}}
	plain := Spec{Quantized: true, proof: proof(map[string]string{MadeKey: "made by hand"})}
	floats := spec
	floats.Quantized = false
	here, other := []string{"amd64", "avx2"}, []string{"amd64", "avx2", "avx_vnni"}
	for _, c := range []struct {
		spec      Spec
		engine    string
		processor []string
		says      string
	}{
		{spec, "onnxruntime", here, ""},
		{spec, "openvino", here, "proved on onnxruntime: make it again"},
		{spec, "tensorrt", here, "proved on onnxruntime: make it again"},
		{spec, "onnxruntime", other, "a processor with amd64 avx2, not with amd64 avx2 avx_vnni"},
		{short, "openvino", here, "proved on no engine: make it again"},
		{plain, "cuda", here, ""},
		{floats, "cuda", here, ""},
	} {
		got := c.spec.unproved(c.engine, c.processor)
		if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s on %v: %q, want %q", c.engine, c.processor, got, c.says)
		}
	}
}

// Who loads such a network is told once, when it is opened.
func TestUnprovedIsTold(t *testing.T) {
	g := &graph{
		inputs: []port{f32("images", 0, 3, 64, 64)}, outputs: []port{f32("output0", 0, 6, 84)}, ops: map[string]int{"DequantizeLinear": 1},
		metadata: map[string]string{MadeKey: `{"proved":[{"engine":"tensorrt","precision":"int8"}]}`},
	}
	cfg := config(t, "coco-nano", onnxRuntime)
	cfg.Model = write(t, g.file(), "labels: [person, car]")
	var told bytes.Buffer
	s, err := New(cfg, slog.New(slog.NewTextHandler(&told, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if n := strings.Count(told.String(), "level=WARN"); n != 1 || !strings.Contains(told.String(), "proved on tensorrt") {
		t.Errorf("%d warnings: %s", n, told.String())
	}
}
