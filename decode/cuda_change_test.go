//go:build cuda

package decode_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/decode"
	"sightline/ingest"
	"sightline/internal/testkit"
	"sightline/kernels/emu"
)

// TestCUDAResize has the pictures of a stream become larger and smaller, while
// frames of the size before are held. The device refuses one size, and software
// takes that over.
func TestCUDAResize(t *testing.T) {
	var list []ingest.Packet
	for i, size := range [][2]int{{160, 120}, {320, 240}, {176, 144}} {
		for _, p := range packets(t, testkit.Clip(t, "raw.h264", append(testsrc(size[0], size[1], 10), "-c:v", "libx264", "-bf", "0", "-g", "10")...)) {
			p.Epoch, p.PTS, p.Extradata, p.Container = "1", time.Duration(len(list))*40*time.Millisecond, nil, nil
			p.Keyframe = len(list) == 10*i
			list = append(list, p)
		}
	}
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused %v", refused), func(t *testing.T) {
			var log bytes.Buffer
			g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			var held []*decode.Frame
			n := 0
			g.look = func(f, host *decode.Frame) {
				if n++; n%10 == 9 {
					held = append(held, f.Retain())
				}
				software := refused && f.Width == 320
				if software != (f.Memory == decode.Host) || !software && !emulated(host, 2*((n-1)%10), 0, 0) || f.Damaged {
					t.Errorf("picture %d, %dx%d in memory %d, is another one or damaged: %v", n, f.Width, f.Height, f.Memory, f.Damaged)
				}
				if n == 15 {
					if info := g.info(); refused != (info.HWAccel == "") || refused != strings.Contains(info.Note, "any more") {
						t.Errorf("%+v", info)
					}
				}
			}
			for i, p := range list {
				if refused && i == 10 {
					emu.Fail(emu.Decoder, 1)
				}
				if err := g.d.Decode(p, g.emit); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
			}
			if err := g.d.Flush(g.emit); err != nil {
				t.Error(err)
			}
			if info := g.info(); n != len(list) || info.HWAccel != "cuda" || info.Note != "" {
				t.Errorf("%d pictures, %+v", n, info)
			}
			if warned := strings.Count(log.String(), "level=WARN"); refused != (warned == 1) {
				t.Errorf("%d warnings:\n%s", warned, &log)
			}
			for _, f := range held {
				f.Release()
			}
		})
	}
}

// TestCUDAKeyframesOnly has each keyframe come out at once.
func TestCUDAKeyframesOnly(t *testing.T) {
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 60), "-c:v", "libx264", "-bf", "3", "-g", "10")...))
	g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true})
	g.d.(decode.Tuner).SetKeyframesOnly(true)
	given, came := 0, 0
	g.look = func(f, host *decode.Frame) {
		if came++; !emulated(host, 0, 0, 0) || !f.Keyframe || f.Damaged || f.Memory != decode.CUDA {
			t.Errorf("picture %d is another one", f.Index)
		}
	}
	for _, p := range list {
		if !p.Keyframe {
			g.d.Skip(p)
			continue
		}
		given++
		if err := g.d.Decode(p, g.emit); err != nil || came != given {
			t.Errorf("%d of %d keyframes came, error %v", came, given, err)
		}
	}
	if given < 6 {
		t.Errorf("%d keyframes", given)
	}
}

// TestCUDAWithoutNVDEC runs where the driver's library for decoding is missing. FFmpeg
// finds it when the process starts, so that the test starts itself.
func TestCUDAWithoutNVDEC(t *testing.T) {
	const inside = "SIGHTLINE_WITHOUT_NVDEC"
	if os.Getenv(inside) == "" {
		folder := t.TempDir()
		libs, err := filepath.Glob(filepath.Join(testkit.Root(t), "out", "emu", "lib*.so*"))
		if err != nil || len(libs) == 0 {
			t.Fatal("no emulated driver", err)
		}
		for _, lib := range libs {
			if name := filepath.Base(lib); !strings.Contains(name, "nvcuvid") {
				if err := os.Symlink(lib, filepath.Join(folder, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		self := exec.Command(os.Args[0], "-test.run=^TestCUDAWithoutNVDEC$", "-test.v")
		self.Env = append(os.Environ(), inside+"=1", "LD_LIBRARY_PATH="+folder)
		if out, err := self.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestCUDAWithoutNVDEC")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 12), "-c:v", "libx264", "-bf", "0")...))
	g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true})
	n := 0
	g.look = func(f, host *decode.Frame) { n++ }
	g.play(list)
	if info := g.info(); n != len(list) || info.Note != "cuda: no libnvcuvid.so.1: install the driver's library for decoding" {
		t.Errorf("%d pictures, %+v", n, info)
	}
}

// TestCUDAElsewhere has other goroutines read and give back the frames of a lagging
// device while decoding goes on: nothing is missing, and every picture stays what it
// is for as long as it is held.
func TestCUDAElsewhere(t *testing.T) {
	gpu := openGPU(t)
	emu.Lag(200 * time.Microsecond)
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 100), "-c:v", "libx264", "-bf", "2", "-g", "100", "-sc_threshold", "0")...))
	g := newOnGPU(t, decode.Config{GPU: gpu})
	frames, seen := make(chan *decode.Frame, 20), make(chan int)
	for range 3 {
		go func() {
			n := 0
			for f := range frames {
				host, err := decode.Download(f)
				if err != nil {
					t.Error(err)
				} else if n++; !emulated(host, 2*int(f.Index-1), 0, 0) {
					t.Errorf("picture %d is another one", f.Index)
				}
				f.Release()
			}
			seen <- n
		}()
	}
	emit := func(f *decode.Frame) error { frames <- f; return nil }
	for i, p := range list {
		if err := g.d.Decode(p, emit); err != nil {
			t.Errorf("packet %d: %v", i, err)
		}
	}
	if err := g.d.Flush(emit); err != nil {
		t.Error(err)
	}
	close(frames)
	if n := <-seen + <-seen + <-seen; n != len(list) {
		t.Errorf("%d of %d pictures", n, len(list))
	}
	if info := g.info(); info.Out != 0 || info.Refused != 0 {
		t.Errorf("%+v", info)
	}
}

// TestCUDAManyReferences asks for more surfaces than there can be beside those that
// the stream refers to: it stays on the device, with fewer.
func TestCUDAManyReferences(t *testing.T) {
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 60), "-c:v", "libx264", "-refs", "16", "-bf", "3", "-g", "60", "-sc_threshold", "0")...))
	g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true, Held: 20})
	var held []*decode.Frame
	emit := func(f *decode.Frame) error { held = append(held, f); return nil }
	for i, p := range list {
		if err := g.d.Decode(p, emit); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if info := g.info(); info.HWAccel != "cuda" || info.Surfaces > 32 || info.Out < 4 || info.Out > 12 || info.Refused == 0 {
		t.Errorf("%+v", info)
	}
	for _, f := range held {
		f.Release()
	}
}
