//go:build cuda

package onnx

import (
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sightline/kernels"
	"sightline/kernels/emu"
)

// TestCUDAFamilies decodes made-up outputs of three pictures on the GPU as on the CPU,
// to the bit, in every form that a family's outputs come in.
func TestCUDAFamilies(t *testing.T) {
	shape := Shape{96, 64}
	queries := rtdetr{classes: 5, queries: 40, scores: "out", boxes: "out"}
	pair := queries
	pair.scores, pair.boxes, pair.logits = "logits", "boxes", true
	for name, f := range map[string]family{
		"nanodet": nanodet{classes: 5, bins: 8, strides: []int{8, 16, 32}, scores: []string{"a", "b", "c"}, boxes: []string{"d", "e", "f"}},
		"joined":  nanodet{classes: 5, bins: 11, strides: []int{8, 16, 32}, joined: "out"},
		"plus":    nanodet{classes: 5, bins: 8, strides: []int{8, 16, 32, 64}, joined: "out"},
		"heads":   nanodet{classes: 5, bins: 8, strides: []int{8, 16}, heads: []string{"a", "b"}},
		"yolov8":  yolo{name: "out", classes: 5, perCell: 1, kind: v8},
		"yolov5":  yolo{name: "out", classes: 5, perCell: 3, kind: v5},
		"yolox":   yolo{name: "out", classes: 5, perCell: 1, kind: x},
		"rtdetr":  queries, "rtdetr, a pair": pair,
		"ssd": ssd{classes: 5, priors: 40, scores: "scores", boxes: "boxes", rest: 1},
	} {
		t.Run(name, func(t *testing.T) {
			const rows = 3
			rng := rand.New(rand.NewPCG(uint64(len(name)), 1))
			var values [rows][][]float32
			for _, o := range f.outputs(shape) {
				for r := range values {
					v := make([]float32, o.size())
					for i := range v {
						v[i] = rng.Float32()
					}
					values[r] = append(values[r], v)
				}
			}
			wanted := [rows][]bool{nil, {true, false, true, true, true}, {false, false, false, false, true}}
			groups := []int32{0, 1, 1, 3, 4}
			got := decodeOnGPU(t, f, shape, values[:], wanted[:], groups)
			total := 0
			for r := range values {
				found, err := f.decode(values[r], shape, wanted[r], 0.5, nil)
				if err != nil {
					t.Fatal(err)
				}
				want, err := kernels.NMS(found, maxOverlap, groups, maxBoxes)
				if err != nil || !slices.Equal(got[r], want) {
					t.Errorf("row %d: %d boxes, want %d: %v", r, len(got[r]), len(want), err)
				}
				total += len(want)
			}
			if total == 0 {
				t.Error("nothing was found anywhere")
			}
		})
	}
}

// TestCUDADirect takes the way of a provider of the GPU, which no emulation has: its
// runs get addresses of the device, do not wait, and have a graph each. Here ONNX
// Runtime's CPU provider stands in, to which those addresses are the host's.
func TestCUDADirect(t *testing.T) {
	emu.Need(t)
	pictures := frames(t)
	d := device(t)
	cfg := onGPU(t, "coco-nano", d, 6)
	want := alone(t, onCPU(cfg), pictures)
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	g := s.runs.(*gpu)
	g.memory.Close()
	if g.memory, err = g.lib.NewMemory("Cpu", 0); err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(cfg.Model)
	if err != nil {
		t.Fatal(err)
	}
	made, err := g.plan(candidate{onnxRuntime}, model, s.Ideal(768, 576), false)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	p := made.(*gpuPlan)
	p.first.Close() // it was made for the CPU's way
	p.first, p.direct, p.graphed = nil, true, true
	if err := p.told(candidate{cudaEngine}); err == nil || !strings.Contains(err.Error(), "input to the CPU") {
		t.Errorf("a session that reads its input on the CPU: %v", err)
	}
	both := [2]slots{}
	for i := range both {
		if both[i], err = p.slots(); err != nil {
			t.Fatal(err)
		}
		defer both[i].Close()
		if err := both[i].warm(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.buckets); n != 4 || g.graphs != 2*n || s.Graphs() != 2*n {
		t.Errorf("%d graphs, %d recorded, for two batches of the sizes %v", g.graphs, s.Graphs(), p.buckets)
	}
	w := newWriter(t, s, WriterConfig{Threshold: 0.1})
	for n := 1; n <= 5; n += 2 {
		b := &Batch{session: s, slots: both[n/2%2], rows: make([]row, 6), limit: 6}
		for i := range n {
			if err := b.Write(i, w, pictures[i%len(pictures)]); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.slots.(*gpuSlots).fill.Synchronize(); err != nil { // the stand-in knows no streams
			t.Fatal(err)
		}
		if err := b.Run(n); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got, err := b.Detections(i); err != nil || !reflect.DeepEqual(got, want[i%len(pictures)]) {
				t.Errorf("row %d of %d: %d boxes, %v", i, n, len(got), err)
			}
		}
	}
}

// TestCUDAWatched: what a session launches reads and writes nothing but the GPU's
// memory, which the emulation checks where it watches every access: the host's own is
// within its reach too.
func TestCUDAWatched(t *testing.T) {
	emu.Need(t)
	emu.Kernels("race")
	defer emu.Kernels("ptx")
	emu.Report()
	d := device(t)
	for _, chunk := range []int{1, 2} {
		cfg := onGPU(t, "coco-nano", copied{d}, 2)
		cfg.Model = write(t, tiny(), "labels: [person, car]")
		s, err := New(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		s.spec.Input.Chunk = chunk
		if err := s.Prepare(s.Ideal(64, 64)); err != nil {
			t.Fatal(err)
		}
		f := upload(t, copied{d}, noise(98, 64, 1), func() {})
		look(t, s, newWriter(t, s, WriterConfig{Threshold: 0.3}), noise(130, 70, 2), f)
		f.Release()
	}
	if report := emu.Report(); report != "" {
		t.Error(report)
	}
}

// decodeOnGPU decodes and suppresses rows of outputs, with a threshold of a half.
func decodeOnGPU(t *testing.T, f family, shape Shape, rows [][][]float32, wanted [][]bool, groups []int32) [][]kernels.Box {
	t.Helper()
	own := newShare(device(t), "test")
	stream, err := own.stream()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := own.free(); err != nil {
			t.Error(err)
		}
	}()
	put := func(data []byte) uint64 {
		m, err := own.alloc(len(data))
		if err == nil {
			err = stream.Upload(m.Address(), data)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m.Address()
	}
	var addresses []uint64
	for i := range rows[0] {
		var all []float32
		for _, r := range rows {
			all = append(all, r[i]...)
		}
		addresses = append(addresses, put(bytesOf(all)))
	}
	size, n := kernels.WantSize(len(groups)), len(rows)
	wants := make([]byte, n*size)
	for i := range rows {
		kernels.PutWant(wants[i*size:(i+1)*size], len(groups), wanted[i], 0.5)
	}
	results := make([]byte, n*kernels.ResultSize(maxBoxes))
	c := kernels.Candidates{
		Rows: n, Classes: len(groups), Room: f.anchors(shape), Wants: put(wants), Counts: put(make([]byte, 4*n)),
		Boxes: put(make([]byte, n*f.anchors(shape)*kernels.BoxSize)),
	}
	s := kernels.Suppression{Overlap: maxOverlap, Groups: put(bytesOf(groups)), NumGroups: len(groups), Limit: maxBoxes, Results: put(results)}
	for _, l := range append(f.launches(addresses, shape, c), c.LaunchNMS(s)) {
		if err := stream.Launch(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(stream.Download(results, s.Results), stream.Synchronize()); err != nil {
		t.Fatal(err)
	}
	all := make([][]kernels.Box, n)
	for i := range all {
		if all[i], err = kernels.ReadResult(results[i*len(results)/n:(i+1)*len(results)/n], nil); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
