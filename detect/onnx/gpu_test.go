//go:build cuda

package onnx

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
	"sightline/internal/ort"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// device opens the first GPU, and checks that nothing of it is left in the end.
func device(t testing.TB) cuda.Device {
	t.Helper()
	emu.KeepsNothing(t)
	d, err := cuda.Open(cuda.Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// copied is a device whose memory the host cannot address, as that of real ones.
type copied struct{ cuda.Device }

func (d copied) Alloc(owner string, bytes int) (cuda.Memory, error) {
	m, err := d.Device.Alloc(owner, bytes)
	if err != nil {
		return nil, err
	}
	return hidden{m}, nil
}

type hidden struct{ cuda.Memory }

func (hidden) HostAddress() unsafe.Pointer { return nil }

// onGPU is the configuration of a session on d, which finds the same bits as a
// session on the CPU with Reference.
func onGPU(t testing.TB, model string, d cuda.Device, rows int) Config {
	t.Helper()
	cfg := config(t, model, onnxRuntime)
	cfg.Precision, cfg.GPU, cfg.MaxBatch, cfg.Reference = "f32", d, rows, true
	cfg.Model = copyModel(t, model, map[string]string{"testing/yolox": "labels: coco"}[model])
	return cfg
}

// onCPU is what to compare with.
func onCPU(cfg Config) Config {
	cfg.GPU = nil
	return cfg
}

// upload copies a frame to the GPU, with other strides. released is called when it is.
func upload(t testing.TB, d cuda.Device, f *decode.Frame, released func()) *decode.Frame {
	t.Helper()
	sizes, err := planeSizes(f)
	if err != nil {
		t.Fatal(err)
	}
	own := newShare(d, "pictures")
	stream, err := own.stream()
	if err != nil {
		t.Fatal(err)
	}
	g := decode.Frame{Width: f.Width, Height: f.Height, Format: f.Format, Color: f.Color, Memory: decode.CUDA, GPU: d}
	for i, size := range sizes {
		if size[0] == 0 {
			continue
		}
		pitch := (size[0] + 511) / 512 * 512
		m, err := own.alloc(pitch * size[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Copy2D(cuda.Copy2D{
			To: cuda.Place{Address: m.Address(), Pitch: pitch}, From: cuda.Place{Host: f.Planes[i].Data, Pitch: f.Planes[i].Stride},
			Width: size[0], Rows: size[1],
		}); err != nil {
			t.Fatal(err)
		}
		g.Planes[i] = decode.Plane{Data: devicePointer(m.Address()), Stride: pitch}
	}
	if g.Ready, err = stream.Record(); err != nil {
		t.Fatal(err)
	}
	return decode.NewFrame(g, func() {
		if err := errors.Join(g.Ready.Close(), own.free()); err != nil {
			t.Error(err)
		}
		released()
	})
}

// TestCUDABoxes finds in real frames what the CPU finds over inputs of the same
// definition, to the bit: each family, any number of rows, frames from both memories,
// the network reading the device's memory in place and through copies.
func TestCUDABoxes(t *testing.T) {
	pictures := frames(t)
	for _, c := range []struct {
		model string
		most  int
		rows  []int
	}{
		{"coco-nano", 32, []int{1, 2, 3, 13, 32}},
		{"coco-nano-f32", 5, []int{3, 5}},
		{"testing/yolov8", 2, []int{2}},
		{"testing/yolov5", 2, []int{2}},
		{"testing/yolox", 2, []int{2}},
	} {
		t.Run(c.model, func(t *testing.T) {
			d := device(t)
			cfg := onGPU(t, c.model, d, c.most)
			want := alone(t, onCPU(cfg), pictures)
			for name, gpu := range map[string]cuda.Device{"in place": d, "copied": copied{d}} {
				cfg.GPU = gpu
				t.Run(name, func(t *testing.T) {
					s := open(t, cfg)
					if emu.Active() && gpu != d {
						emu.Lag(time.Millisecond)
						defer emu.Lag(0)
					}
					w := newWriter(t, s, WriterConfig{Threshold: 0.1})
					for _, n := range c.rows {
						if n <= 4 || gpu == d {
							compare(t, s, w, gpu, pictures, want, n)
						}
					}
				})
			}
		})
	}
}

// TestCUDASingle runs a network that takes one picture over several rows, which lie
// apart then.
func TestCUDASingle(t *testing.T) {
	pictures := frames(t)
	d := device(t)
	cfg := onGPU(t, "coco-nano", d, 3)
	want := alone(t, onCPU(cfg), pictures)
	for name, gpu := range map[string]cuda.Device{"in place": d, "copied": copied{d}} {
		t.Run(name, func(t *testing.T) {
			cfg.GPU = gpu
			s, err := New(cfg, quiet())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			s.spec.Input.Chunk = 1
			if err := s.Prepare(s.Ideal(768, 576)); err != nil {
				t.Fatal(err)
			}
			compare(t, s, newWriter(t, s, WriterConfig{Threshold: 0.1}), gpu, pictures, want, 3)
		})
	}
}

// alone finds what is in each frame by itself.
func alone(t *testing.T, cfg Config, pictures []*decode.Frame) (all [][]detect.Detection) {
	t.Helper()
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Prepare(s.Ideal(768, 576)); err != nil {
		t.Fatal(err)
	}
	w, err := s.NewWriter(WriterConfig{Threshold: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, f := range pictures {
		found := look(t, s, w, f)[0]
		if len(found) == 0 {
			t.Fatal("nothing to compare with")
		}
		all = append(all, found)
	}
	return all
}

// compare runs a batch of n frames, each second one from the GPU's memory.
func compare(t *testing.T, s *Session, w *Writer, d cuda.Device, pictures []*decode.Frame, want [][]detect.Detection, n int) {
	t.Helper()
	var batch []*decode.Frame
	for i := range n {
		f := pictures[(i*i+n)%len(pictures)]
		if i%2 == 1 {
			f = upload(t, d, f, func() {})
			defer f.Release()
		}
		batch = append(batch, f)
	}
	for i, got := range look(t, s, w, batch...) {
		if err := differs(s, got, want[(i*i+n)%len(pictures)]); err != nil {
			t.Fatalf("row %d of %d: %v", i, n, err)
		}
	}
}

// differs compares boxes with the CPU's: their bits, unless a provider of the GPU has
// computed the network, which rounds in its own way.
func differs(s *Session, got, want []detect.Detection) error {
	engine := s.Info().Engine
	if engine != onnxRuntime {
		return different(got, want, 0.1, map[string]float64{cudaEngine: 0.01, tensorRT: 0.05}[engine])
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%d boxes are not the CPU's %d, to the bit", len(got), len(want))
	}
	return nil
}

// TestCUDALag runs batches of several streams at once over a GPU that is late with
// everything: each reads what was written for it.
func TestCUDALag(t *testing.T) {
	emu.Need(t)
	pictures := frames(t)
	d := device(t)
	cfg := onGPU(t, "coco-nano", d, 4)
	want := alone(t, onCPU(cfg), pictures)
	emu.Lag(2 * time.Millisecond)
	defer emu.Lag(0)
	for name, gpu := range map[string]cuda.Device{"in place": d, "copied": copied{d}} {
		cfg.GPU = gpu
		s := open(t, cfg)
		var wg sync.WaitGroup
		for k := range 3 {
			wg.Go(func() {
				w := newWriter(t, s, WriterConfig{Threshold: 0.1})
				for i := range 3 {
					first := (k + i) % 3
					f := upload(t, gpu, pictures[first], func() {})
					got := look(t, s, w, f, pictures[first+1], pictures[first])
					f.Release()
					if !reflect.DeepEqual(got, [][]detect.Detection{want[first], want[first+1], want[first]}) {
						t.Errorf("%s: pictures %d and %d differ", name, first, first+1)
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestCUDAHolds: a frame is held until it was read and no longer, two of a stream at
// most; a row may be written again, and a batch be given back without a run.
func TestCUDAHolds(t *testing.T) {
	emu.Need(t)
	pictures := frames(t)
	d := device(t)
	s := open(t, onGPU(t, "coco-nano", d, 8))
	w := newWriter(t, s, WriterConfig{Threshold: 0.3})
	emu.Lag(20 * time.Millisecond)
	defer emu.Lag(0)
	var mu sync.Mutex
	out, most := 0, 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		out += by
		most = max(most, out)
	}
	b, err := s.Open(s.ShapeFor(768, 576), 8)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		f := upload(t, d, pictures[i%len(pictures)], func() { count(-1) })
		count(1)
		if err := b.Write(i%8, w, f); err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	for _, size := range []int{64, 640} { // a larger one is put where the first is still read
		if err := b.Write(0, w, noise(size, size, 1)); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	if out != 0 || most < 2 || most > MaxHeld+1 { // and the one in our own hands
		t.Errorf("%d frames are held after Close, %d at a time", out, most)
	}
	if _, err := b.Detections(0); err == nil {
		t.Error("read detections of a row that was given back")
	}
}

// TestCUDARefuses: what cannot be taken is refused, and the row can still be written.
func TestCUDARefuses(t *testing.T) {
	d := device(t)
	s := open(t, onGPU(t, "coco-nano", d, 2))
	w := newWriter(t, s, WriterConfig{Threshold: 0.3})
	f := noise(64, 48, 0)
	b := batch(t, s, w, f)
	defer b.Close()
	foreign := *f
	foreign.Memory = decode.CUDA
	deep := *f
	deep.Format = decode.P010
	for want, err := range map[string]error{
		"another device":      b.Write(0, w, &foreign),
		"none of host memory": b.Write(0, w, &deep),
		"plane 0 is missing":  b.Write(0, w, decode.NewFrame(decode.Frame{Width: 8, Height: 8, Format: decode.I420, Memory: decode.Host}, func() {})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if err := b.Run(1); err != nil {
		t.Error(err)
	}
}

// TestCUDATensorRT builds an engine of a real TensorRT, compares what it finds with
// the CPU, and takes it from the cache the next time.
func TestCUDATensorRT(t *testing.T) {
	d := device(t)
	if providers(t) == 1 {
		t.Skip("skipped: needs ONNX Runtime with TensorRT, and a GPU: see On a GPU in README.md")
	}
	pictures := frames(t)
	cfg := onGPU(t, "coco-nano", d, 4)
	want := alone(t, onCPU(cfg), pictures)
	cfg.Engine, cfg.Precision, cfg.Cache = tensorRT, "auto", t.TempDir()
	for _, before := range []bool{false, true} {
		s, err := New(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		size := s.Ideal(768, 576)
		if cached, ok := s.Cached(size); !ok || cached != before {
			t.Errorf("in the cache: %t, want %t", cached, before)
		}
		if err := s.Prepare(size); err != nil {
			t.Fatal(err)
		}
		compare(t, s, newWriter(t, s, WriterConfig{Threshold: 0.1}), d, pictures, want, 3)
	}
}

// providers counts ONNX Runtime's code for networks: one is the CPU's.
func providers(t *testing.T) (n int) {
	t.Helper()
	lib, err := ort.Open(findLibrary(onnxRuntime, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	names, err := lib.Providers()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "CPUExecutionProvider" || name == "CUDAExecutionProvider" || name == "TensorrtExecutionProvider" {
			n++
		}
	}
	return n
}

// TestCUDAFallback asks for engines that this ONNX Runtime lacks: what runs in their
// place is told, and why, and a demand is refused with what to do.
func TestCUDAFallback(t *testing.T) {
	d := device(t)
	if providers(t) > 1 {
		t.Skip("skipped: this ONNX Runtime has providers for GPUs")
	}
	cfg := onGPU(t, "coco-nano", d, 2)
	cfg.Engine = "auto"
	s := open(t, cfg)
	why := fmt.Sprint(s.Fallbacks())
	if info := s.Info(); info.Engine != onnxRuntime || info.Precision != "f32" || s.Workers() != 1 ||
		!strings.Contains(why, "engine tensorrt: TensorRT execution provider is not enabled") || !strings.Contains(why, "engine cuda: CUDA execution provider") {
		t.Errorf("%+v, %d workers, because %s", info, s.Workers(), why)
	}
	for engine, wants := range map[string][]string{
		tensorRT: {"TensorRT execution provider is not enabled", "onnxruntime-gpu", "SIGHTLINE_LIBS", "doctor"},
		openVINO: {"engine: openvino computes on the CPU"},
	} {
		cfg.Engine = engine
		_, err := New(cfg, quiet())
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("engine %s: %v, want %q", engine, err, want)
			}
		}
	}
	cfg.Engine, cfg.Precision = "auto", "f16"
	if _, err := New(cfg, quiet()); err == nil || !strings.Contains(err.Error(), "it computes this network in f32, not in f16") {
		t.Errorf("precision f16: %v", err)
	}
}
