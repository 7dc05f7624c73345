//go:build cuda

package decode_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/internal/testkit"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// lose makes the device go away, by way of a stream that has nothing to do with decoding.
func lose(t *testing.T, gpu cuda.Device) {
	t.Helper()
	s, err := gpu.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := gpu.Alloc("test", 100)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	emu.Fail(emu.Device, 1)
	if err := errors.Join(s.Upload(m.Address(), make([]byte, 100)), s.Synchronize()); !errors.Is(err, cuda.ErrLost) {
		t.Fatalf("the device is still there: %v", err)
	}
}

// TestCUDALostDevice has the device go away while it decodes: pictures up to the
// next keyframe are lost, those after it come from software, and when the device was
// opened anew, those after another keyframe from there.
func TestCUDALostDevice(t *testing.T) {
	emu.Need(t)
	emu.KeepsNothing(t)
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 50), "-c:v", "libx264", "-bf", "0", "-g", "10", "-keyint_min", "10", "-sc_threshold", "0")...))
	want := play(t, decode.Config{Threads: 1}, list)
	g := newOnGPU(t, decode.Config{GPU: gpu, Live: true})
	var came []string
	g.look = func(f, host *decode.Frame) {
		switch {
		case f.Damaged:
			t.Errorf("picture %d is damaged", f.Index)
		case f.Memory == decode.Host && !bytes.Equal(decodetest.Luma(f), want[f.Index-1].luma):
			t.Errorf("picture %d is another one in software", f.Index)
		case f.Memory == decode.CUDA && !emulated(host, 2*int((f.Index-1)%10), 0, 0):
			t.Errorf("picture %d is another one on the device", f.Index)
		}
		came = append(came, fmt.Sprintf("%d:%d", f.Index, f.Memory))
	}
	var errs []error
	for i, p := range list {
		switch i {
		case 15:
			lose(t, gpu)
		case 25:
			if err := gpu.Close(); err != nil { // nothing of it is held any more
				t.Fatal(err)
			}
			emu.Restore(0)
			if gpu, err = cuda.Open(cuda.Config{}); err != nil {
				t.Fatal(err)
			}
			g.d.(decode.Mover).SetGPU(gpu)
		case 35:
			if info := g.info(); info.HWAccel != "cuda" || info.Note != "" {
				t.Errorf("back on the device: %+v", info)
			}
			g.d.(decode.Mover).SetGPU(nil) // FFmpeg's own device then
		case 22:
			if info := g.info(); info.HWAccel != "" || !strings.HasPrefix(info.Note, "cuda: CUDA device lost: ") || info.Surfaces != 0 {
				t.Errorf("without the device: %+v", info)
			}
		}
		if err := g.d.Decode(p, g.emit); err != nil {
			errs = append(errs, err)
		}
	}
	g.d.Close()
	if err := gpu.Close(); err != nil {
		t.Error(err)
	}
	if len(errs) != 5 || !errors.Is(errs[0], cuda.ErrLost) || errors.Is(errs[1], cuda.ErrLost) || !errors.Is(errs[4], decode.ErrNoKeyframe) {
		t.Errorf("errors %v", errs)
	}
	var expect []string
	for i := range 50 {
		memory := decode.CUDA
		if i >= 20 && i < 30 || i >= 40 {
			memory = decode.Host
		}
		if i < 15 || i >= 20 {
			expect = append(expect, fmt.Sprintf("%d:%d", i+1, memory))
		}
	}
	if got, expected := strings.Join(came, " "), strings.Join(expect, " "); got != expected {
		t.Errorf("came    %s\nexpected %s", got, expected)
	}
}

// TestCUDALostWhileHeld keeps frames of a device that goes away: they can be given
// back, and their pictures are told to be lost.
func TestCUDALostWhileHeld(t *testing.T) {
	gpu := openGPU(t)
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 12), "-c:v", "libx264", "-bf", "2", "-g", "6")...))
	g := newOnGPU(t, decode.Config{GPU: gpu, Live: true})
	var held []*decode.Frame
	keep := func(f *decode.Frame) error { held = append(held, f); return nil }
	for _, p := range list[:5] {
		if err := g.d.Decode(p, keep); err != nil {
			t.Fatal(err)
		}
	}
	lose(t, gpu)
	defer emu.Restore(0)
	if _, err := decode.Download(held[0]); !errors.Is(err, cuda.ErrLost) {
		t.Errorf("a lost picture comes: %v", err)
	}
	if err := g.d.Flush(keep); err != nil && !errors.Is(err, cuda.ErrLost) {
		t.Errorf("%v", err)
	}
	g.d.Close()
	for _, f := range held {
		f.Release()
	}
	if len(held) == 0 || g.live.Frames() != 0 {
		t.Errorf("%d frames were held, %d are out", len(held), g.live.Frames())
	}
}

// TestCUDAPictureFails has one picture fail in the middle of a stream: an error of
// its packet, and after a keyframe all is as before, still on the device.
func TestCUDAPictureFails(t *testing.T) {
	for _, kind := range []string{emu.Picture, emu.Map} {
		t.Run(kind, func(t *testing.T) {
			gpu := openGPU(t)
			list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 30), "-c:v", "libx264", "-bf", "0", "-g", "10", "-keyint_min", "10", "-sc_threshold", "0")...))
			g := newOnGPU(t, decode.Config{GPU: gpu, Live: true})
			clean, errs := 0, 0
			g.look = func(f, host *decode.Frame) {
				if f.Damaged {
					return
				}
				if clean++; !emulated(host, 2*int((f.Index-1)%10), 0, 0) {
					t.Errorf("picture %d is another one", f.Index)
				}
			}
			for i, p := range list {
				if i == 14 {
					emu.Fail(kind, 1)
				}
				if err := g.d.Decode(p, g.emit); err != nil {
					if errs++; errors.Is(err, cuda.ErrLost) {
						t.Error(err)
					}
				}
			}
			if info := g.info(); errs == 0 || clean < 24 || info.HWAccel != "cuda" || info.Note != "" {
				t.Errorf("%d errors, %d clean pictures, %+v", errs, clean, info)
			}
		})
	}
}
