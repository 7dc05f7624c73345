//go:build cuda

package onnx

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

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

// TestCUDAFailures lets each thing that a session takes from the driver fail in turn:
// the error says what it was for, and nothing is left.
func TestCUDAFailures(t *testing.T) {
	emu.Need(t)
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

// TestCUDAUnmarked: where a picture's passage cannot be marked, the write fails only
// once the picture was read, for nobody else waits for it.
func TestCUDAUnmarked(t *testing.T) {
	emu.Need(t)
	pictures := frames(t)
	d := device(t)
	s := open(t, onGPU(t, "coco-nano", d, 1))
	w := newWriter(t, s, WriterConfig{Threshold: 0.3})
	b, err := s.Open(s.ShapeFor(768, 576), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	emu.Lag(50 * time.Millisecond)
	defer emu.Lag(0)
	emu.Fail(emu.Event, 1)
	if err := b.Write(0, w, pictures[0]); err == nil {
		t.Fatal("written without an event")
	}
	input := b.slots.(*gpuSlots).input
	if row := unsafe.Slice((*byte)(input.HostAddress()), input.Size()); slices.Max(row) == 0 {
		t.Error("the picture is not read yet")
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
	emu.Need(t)
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
