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
	before := emu.Counts().Live()
	d, err := cuda.Open(cuda.Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if after := emu.Counts().Live(); after != before {
			t.Errorf("left on the device: %+v, before %+v", after, before)
		}
	})
	return d
}

// emulated skips tests that disturb the driver where it is a real one.
func emulated(t *testing.T) {
	t.Helper()
	if !emu.Active() {
		t.Skip("skipped: it makes the emulated driver fail: kernels/emu/run.sh go test …")
	}
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

// scarce is a device that has no memory at its n-th allocation, however often its
// driver is asked.
type scarce struct {
	cuda.Device
	n *int
}

func (d scarce) Alloc(owner string, bytes int) (cuda.Memory, error) {
	if *d.n--; *d.n == 0 {
		emu.Fail(emu.Alloc, -1)
		defer emu.Fail(emu.Alloc, 0)
	}
	return d.Device.Alloc(owner, bytes)
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
	emulated(t)
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
	emulated(t)
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
	b.Close()
	if out != 0 || most < 2 || most > maxHeld+1 { // and the one in our own hands
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

// TestCUDAFailures lets each thing that a session takes from the driver fail in turn:
// the error says what it was for, and nothing is left.
func TestCUDAFailures(t *testing.T) {
	emulated(t)
	picture := noise(320, 240, 1)
	path := write(t, tiny(), "labels: [person, car]")
	for kind, want := range map[string]error{emu.Alloc: cuda.ErrMemory, emu.Pinned: cuda.ErrMemory, emu.Stream: nil, emu.Event: nil, emu.Copy: nil} {
		t.Run(kind, func(t *testing.T) {
			defer emu.Fail(kind, 0)
			failed := 0
			for n := 1; ; n++ {
				d := openDevice(t)
				cfg := onGPU(t, "coco-nano", copied{d}, 2)
				cfg.Model = path
				before := emu.Counts().Faults
				if kind == emu.Alloc {
					left := n
					cfg.GPU = scarce{d, &left}
				} else {
					emu.Fail(kind, n)
				}
				err := try(cfg, picture)
				emu.Fail(kind, 0)
				if used := d.Used(); len(used) > 1 || used["cache"] == 0 && len(used) > 0 {
					t.Errorf("%s %d: still in use: %v", kind, n, used)
				}
				if err := d.Close(); err != nil {
					t.Errorf("%s %d: %v", kind, n, err)
				}
				if emu.Counts().Faults == before { // there is no n-th
					if err != nil || failed == 0 {
						t.Errorf("%s: %d failed, and then without a failure: %v", kind, failed, err)
					}
					return
				}
				failed++
				if err == nil || want != nil && (!errors.Is(err, want) || !strings.Contains(err.Error(), "network model")) {
					t.Errorf("%s %d: error %v, want %v with what it was for", kind, n, err, want)
				}
			}
		})
	}
}

func openDevice(t *testing.T) cuda.Device {
	t.Helper()
	d, err := cuda.Open(cuda.Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// try goes through the life of a session until something fails.
func try(cfg Config, picture *decode.Frame) error {
	s, err := New(cfg, quiet())
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Prepare(Shape{64, 64}); err != nil {
		return err
	}
	w, err := s.NewWriter(WriterConfig{Threshold: 0.3})
	if err != nil {
		return err
	}
	defer w.Close()
	b, err := s.Open(Shape{64, 64}, 2)
	if err != nil {
		return err
	}
	defer b.Close()
	for i := range 2 {
		if err := b.Write(i, w, picture); err != nil {
			return err
		}
	}
	if err := b.Run(2); err != nil {
		return err
	}
	_, err = b.Detections(1)
	return err
}

// TestCUDALost: after the loss of the device everything fails at once and says so,
// frames are released, and closing does not hang. A new device works again.
func TestCUDALost(t *testing.T) {
	emulated(t)
	picture := noise(320, 240, 1)
	before := emu.Counts().Live()
	d := openDevice(t)
	cfg := onGPU(t, "coco-nano", d, 2)
	cfg.Model = write(t, tiny(), "labels: [person, car]")
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(Shape{64, 64}); err != nil {
		t.Fatal(err)
	}
	w := newWriter(t, s, WriterConfig{Threshold: 0.3})
	b, err := s.Open(Shape{64, 64}, 2)
	if err != nil {
		t.Fatal(err)
	}
	released := 0
	f := upload(t, d, picture, func() { released++ })
	emu.Fail(emu.Launch, 1)
	err = b.Write(0, w, f)
	f.Release()
	if runErr := b.Run(1); !errors.Is(errors.Join(err, runErr), cuda.ErrLost) {
		t.Errorf("write: %v, run: %v", err, runErr)
	}
	<-d.Lost()
	for name, call := range map[string]func() error{
		"write":   func() error { return b.Write(1, w, picture) },
		"prepare": func() error { return s.Prepare(Shape{32, 32}) },
	} {
		if err := call(); !errors.Is(err, cuda.ErrLost) {
			t.Errorf("%s after the loss: %v", name, err)
		}
	}
	if _, err := b.Detections(0); err == nil {
		t.Error("read detections of a run that was lost")
	}
	b.Close()
	w.Close()
	s.Close()
	if released != 1 {
		t.Errorf("the frame was released %d times", released)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if after := emu.Counts().Live(); after != before {
		t.Errorf("left on the device: %+v, before %+v", after, before)
	}
	cfg.GPU = device(t)
	if err := try(cfg, picture); err != nil {
		t.Errorf("on the device opened anew: %v", err)
	}
}

// TestCUDASteady: after its first pictures a session takes nothing more of the device,
// and what it has is told under its name.
func TestCUDASteady(t *testing.T) {
	pictures := frames(t)[:2]
	d := device(t)
	cfg := onGPU(t, "coco-nano", copied{d}, 2)
	cfg.Model = write(t, tiny(), "labels: [person, car]")
	s := open(t, cfg)
	w := newWriter(t, s, WriterConfig{Threshold: 0.3})
	look(t, s, w, pictures...)
	used, before := d.Used(), emu.Counts().Live()
	for range 10 {
		look(t, s, w, pictures...)
	}
	if after := emu.Counts().Live(); after != before || !reflect.DeepEqual(d.Used(), used) {
		t.Errorf("grew from %+v to %+v, %v to %v", before, after, used, d.Used())
	}
	size := s.Ideal(768, 576)
	input := int64(2 * 2 * s.Spec().Input.slot(size).Size()) // rows of two batches
	if own := used["network model "+size.String()]; own < input {
		t.Errorf("%v does not tell of the inputs' %d bytes", used, input)
	}
}

// TestCUDABudget: what a budget does not allow is refused by name, and nothing is left.
func TestCUDABudget(t *testing.T) {
	before := emu.Counts().Live()
	d, err := cuda.Open(cuda.Config{Budget: 1 << 20, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := onGPU(t, "coco-nano", d, 8)
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Prepare(Shape{416, 320})
	if !errors.Is(err, cuda.ErrBudget) || !strings.Contains(err.Error(), "coco-nano 416x320") {
		t.Errorf("prepare over the budget: %v", err)
	}
	s.Close()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if after := emu.Counts().Live(); after != before {
		t.Errorf("left on the device: %+v, before %+v", after, before)
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
