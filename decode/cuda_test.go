//go:build cuda

package decode_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/internal/testkit"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// openGPU opens the emulated device until the end of the test.
func openGPU(t *testing.T) cuda.Device {
	t.Helper()
	emu.Need(t)
	emu.KeepsNothing(t)
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		emu.Lag(0)
		if err := gpu.Close(); err != nil {
			t.Error(err)
		}
	})
	return gpu
}

// onGPU decodes a list there, and hands each frame, in host memory as well, to look.
// It fails on an error of any packet, unless bad takes it.
type onGPU struct {
	t    *testing.T
	d    decode.Decoder
	live *decode.Live
	look func(f, host *decode.Frame)
	bad  func(i int, err error)
}

func newOnGPU(t *testing.T, c decode.Config) *onGPU {
	t.Helper()
	g := &onGPU{t: t, live: decodetest.Live(t), look: func(f, host *decode.Frame) {}}
	c.Frames, c.Threads = g.live, 1
	if c.HWAccel == "" {
		c.HWAccel = "cuda"
	}
	d, err := decode.New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.d = d
	t.Cleanup(func() { d.Close() })
	return g
}

func (g *onGPU) emit(f *decode.Frame) error {
	host, err := decode.Download(f)
	if err != nil {
		g.t.Error(err)
	} else {
		g.look(f, host)
		host.Release()
	}
	f.Release()
	return nil
}

func (g *onGPU) play(list []ingest.Packet) {
	g.t.Helper()
	for i, p := range list {
		if err := g.d.Decode(p, g.emit); err != nil {
			if g.bad == nil {
				g.t.Fatalf("packet %d: %v", i, err)
			}
			g.bad(i, err)
		}
	}
	if err := g.d.Flush(g.emit); err != nil {
		g.t.Error(err)
	}
}

func (g *onGPU) info() decode.Info { return g.d.(decode.Informer).Info() }

// emulated tells whether a frame in host memory is the picture that the emulated
// decoder makes of an order count, cut by left and top.
func emulated(f *decode.Frame, order, left, top int) bool {
	for y := range f.Height {
		row := unsafe.Slice((*byte)(unsafe.Add(f.Planes[0].Data, y*f.Planes[0].Stride)), f.Width)
		for x, luma := range row {
			if luma != emu.Luma(order, x+left, y+top) {
				return false
			}
		}
	}
	for y := range (f.Height + 1) / 2 {
		row := unsafe.Slice((*byte)(unsafe.Add(f.Planes[1].Data, y*f.Planes[1].Stride)), (f.Width+1)/2*2)
		for x := range len(row) / 2 {
			if u, v := emu.Chroma(order, x+left/2, y+top/2); row[2*x] != u || row[2*x+1] != v {
				return false
			}
		}
	}
	return true
}

// TestCUDAOrder decodes on a lagging device: pictures come in the order, with the
// times, numbers and marks that software gives them, and each is the one it should be.
func TestCUDAOrder(t *testing.T) {
	x265 := func(params string) []string {
		return []string{"-c:v", "libx265", "-x265-params", "log-level=none:keyint=10:" + params}
	}
	for _, c := range []struct {
		name          string
		width, height int
		step          int // of the order count from picture to picture
		anew          bool
		left, top     int
		format        decode.PixelFormat
		args          []string
	}{
		{"h264.mp4", 160, 120, 2, true, 0, 0, decode.NV12, []string{"-c:v", "libx264", "-bf", "0", "-g", "10"}},
		{"h264-b.mp4", 320, 180, 2, true, 0, 0, decode.NV12, []string{"-c:v", "libx264", "-bf", "3", "-b_strategy", "0", "-g", "10"}},
		{"h264-pyramid.mkv", 160, 120, 2, true, 0, 0, decode.NV12, []string{"-c:v", "libx264", "-bf", "5", "-b_strategy", "0", "-x264-params", "b-pyramid=normal:keyint=12"}},
		{"h264-small.mp4", 150, 90, 2, true, 0, 0, decode.NV12, []string{"-c:v", "libx264", "-bf", "2", "-g", "10"}},
		{"h264-cut.mp4", 152, 104, 2, true, 8, 16, decode.NV12, []string{"-c:v", "libx264", "-g", "10", "-bsf:v", "h264_metadata=crop_left=8:crop_top=16"}},
		{"h265.mp4", 160, 120, 1, true, 0, 0, decode.NV12, x265("bframes=3:open-gop=0")},
		{"h265-open.mp4", 320, 180, 1, false, 0, 0, decode.NV12, x265("bframes=4:open-gop=1")},
		{"h265-10.mp4", 160, 120, 1, true, 0, 0, decode.P010, append(x265("bframes=3:open-gop=0"), "-pix_fmt", "yuv420p10le")},
	} {
		t.Run(c.name, func(t *testing.T) {
			gpu := openGPU(t)
			emu.Lag(100 * time.Microsecond)
			path := testkit.Clip(t, c.name, append(testsrc(c.width+c.left, c.height+c.top, 30), c.args...)...)
			list := packets(t, path)
			want := play(t, decode.Config{Threads: 1}, list)
			g := newOnGPU(t, decode.Config{GPU: gpu})
			n, order := 0, 0
			g.look = func(f, host *decode.Frame) {
				if n == len(want) {
					t.Fatal("more pictures than in software")
				}
				w := want[n]
				if n++; c.anew && w.Keyframe {
					order = 0
				}
				if f.Index != w.Index || f.PTS != w.PTS || f.Keyframe != w.Keyframe || f.Damaged != w.Damaged || f.Captured != w.Captured ||
					f.Width != w.Width || f.Height != w.Height || f.Color != w.Color {
					t.Errorf("picture %d: %+v\nin software: %+v", n, f, w.Frame)
				}
				if f.Memory != decode.CUDA || f.Format != c.format || f.GPU != gpu || host.Format != decode.NV12 || host.Memory != decode.Host {
					t.Errorf("picture %d: format %d in memory %d, on the host %d in %d", n, f.Format, f.Memory, host.Format, host.Memory)
				}
				if !emulated(host, order, c.left, c.top) {
					t.Errorf("picture %d is not the one with order count %d", n, order)
				}
				order += c.step
			}
			g.play(list)
			if info := g.info(); n != len(want) || info.HWAccel != "cuda" || info.Note != "" || info.Refused != 0 || info.Out != 0 ||
				info.Surfaces < decode.MaxHeld || info.SurfaceBytes < int64(2*info.Surfaces*c.width*c.height*3/2) {
				t.Errorf("%d pictures, %d in software, %+v", n, len(want), info)
			}
			g.d.Close()
			if l := emu.Counts(); l.Surfaces != 0 || l.Decoders != 0 {
				t.Errorf("after Close: %+v", l)
			}
		})
	}
}

// TestCUDACodecs decodes the others, of which the emulation does not know the order.
func TestCUDACodecs(t *testing.T) {
	for name, args := range map[string][]string{
		"vp8.webm":   {"-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "200k"},
		"vp9.webm":   {"-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "200k"},
		"av1.mp4":    {"-c:v", "libsvtav1", "-preset", "12"},
		"mjpeg.avi":  {"-c:v", "mjpeg", "-pix_fmt", "yuvj420p"},
		"mpeg4.avi":  {"-c:v", "mpeg4", "-bf", "2"},
		"mpeg2.mpg":  {"-c:v", "mpeg2video", "-bf", "2"},
		"raw.h264":   {"-c:v", "libx264", "-bf", "2", "-g", "10"},
		"h264-ts.ts": {"-c:v", "libx264", "-bf", "2", "-g", "10"},
	} {
		t.Run(name, func(t *testing.T) {
			list := packets(t, testkit.Clip(t, name, append(testsrc(160, 128, 20), args...)...))
			want := play(t, decode.Config{Threads: 1}, list)
			g := newOnGPU(t, decode.Config{GPU: openGPU(t)})
			n := 0
			g.look = func(f, host *decode.Frame) {
				if n < len(want) && (f.Index != want[n].Index || f.PTS != want[n].PTS || f.Color != want[n].Color || f.Memory != decode.CUDA) {
					t.Errorf("%+v\nin software: %+v", f, want[n].Frame)
				}
				n++
			}
			g.play(list)
			if info := g.info(); n != len(want) || info.HWAccel != "cuda" {
				t.Errorf("%d pictures, %d in software, %+v", n, len(want), info)
			}
		})
	}
}

// TestCUDALoss takes packets away: what is marked as damaged is the same as in software.
func TestCUDALoss(t *testing.T) {
	for name, args := range map[string][]string{
		"h264.mp4": {"-c:v", "libx264", "-bf", "2", "-b_strategy", "0", "-g", "12"},
		"h265.mp4": {"-c:v", "libx265", "-x265-params", "log-level=none:bframes=2:keyint=12"},
	} {
		t.Run(name, func(t *testing.T) {
			gpu := openGPU(t)
			all := packets(t, testkit.Clip(t, name, append(testsrc(160, 120, 60), args...)...))
			damaged := 0
			for _, lost := range []int{5, 14, 27} {
				for _, told := range []bool{true, false} {
					var list []ingest.Packet
					for i, p := range all {
						p.Break = told && i == lost+1
						if i != lost {
							list = append(list, p)
						}
					}
					var runs [2][]string
					for i, c := range []decode.Config{{HWAccel: "none"}, {GPU: gpu}} {
						g := newOnGPU(t, c)
						g.bad = func(int, error) {}
						g.look = func(f, _ *decode.Frame) {
							runs[i] = append(runs[i], fmt.Sprintf("%d at %v, keyframe %v, damaged %v", f.Index, f.PTS, f.Keyframe, f.Damaged))
						}
						g.play(list)
						g.d.Close()
					}
					if software, device := strings.Join(runs[0], "\n"), strings.Join(runs[1], "\n"); software != device {
						t.Errorf("without packet %d, told %v:\n%s\nin software:\n%s", lost, told, device, software)
					} else if strings.Contains(device, "damaged true") {
						damaged++
					}
				}
			}
			if damaged < 2 {
				t.Error("hardly any packet that was taken away was missed")
			}
		})
	}
}

// TestCUDAHeld holds more frames than there can be: a live decoder leaves pictures
// out and counts them, another one copies. Neither stops, nor damages any.
func TestCUDAHeld(t *testing.T) {
	gpu := openGPU(t)
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 60), "-c:v", "libx264", "-bf", "2", "-g", "60")...))
	for _, live := range []bool{true, false} {
		t.Run(fmt.Sprintf("live %v", live), func(t *testing.T) {
			g := newOnGPU(t, decode.Config{GPU: gpu, Live: live})
			var held []*decode.Frame
			emit := func(f *decode.Frame) error { held = append(held, f); return nil }
			for i, p := range list[:40] {
				if err := g.d.Decode(p, emit); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
			}
			info := g.info()
			if info.Out != decode.MaxHeld || live != (len(held) == decode.MaxHeld) || live != (info.Refused > 20) || !live && gpu.Used()["pictures"] == 0 {
				t.Errorf("%d frames out, of them %d on surfaces, %d refused, device memory %v", len(held), info.Out, info.Refused, gpu.Used())
			}
			check := func() {
				for _, f := range held {
					host, err := decode.Download(f)
					if err != nil {
						t.Fatal(err)
					}
					if !emulated(host, 2*int(f.Index-1), 0, 0) || f.Damaged {
						t.Errorf("picture %d is another one, or damaged: %v", f.Index, f.Damaged)
					}
					host.Release()
					f.Release()
				}
				held = nil
			}
			check()
			for i, p := range list[40:] {
				if err := g.d.Decode(p, emit); err != nil {
					t.Fatalf("packet %d: %v", 40+i, err)
				}
				check()
			}
			if now := g.info(); now.Refused != info.Refused || now.Out != 0 || now.HWAccel != "cuda" {
				t.Errorf("after they came back: %+v", now)
			}
		})
	}
}

// TestCUDAOutlives keeps a frame beyond its decoder.
func TestCUDAOutlives(t *testing.T) {
	gpu := openGPU(t)
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 3), "-c:v", "libx264", "-bf", "0")...))
	g := newOnGPU(t, decode.Config{GPU: gpu, Live: true})
	var kept *decode.Frame
	emit := func(f *decode.Frame) error {
		if kept == nil {
			kept = f.Retain()
		}
		f.Release()
		return nil
	}
	for _, p := range list {
		if err := g.d.Decode(p, emit); err != nil {
			t.Fatal(err)
		}
	}
	g.d.Close()
	if err := gpu.Close(); !errors.Is(err, cuda.ErrBusy) || !strings.Contains(err.Error(), "event") {
		t.Errorf("the device closes under a frame: %v", err)
	}
	host, err := decode.Download(kept)
	if err != nil || !emulated(host, 0, 0, 0) {
		t.Errorf("the frame is gone with its decoder: %v", err)
	}
	host.Release()
	kept.Release()
}

// TestCUDAFallback decodes in software where the device cannot, and says why.
func TestCUDAFallback(t *testing.T) {
	h264 := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 12), "-c:v", "libx264", "-bf", "0")...))
	high10 := packets(t, testkit.Clip(t, "high10.mp4", append(testsrc(160, 120, 12), "-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p10le")...))
	high444 := packets(t, testkit.Clip(t, "high444.mp4", append(testsrc(160, 120, 12), "-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv444p")...))
	ffv1 := packets(t, testkit.Clip(t, "clip.mkv", append(testsrc(160, 120, 12), "-c:v", "ffv1", "-pix_fmt", "yuv420p")...))
	av1 := packets(t, testkit.Clip(t, "av1.mp4", append(testsrc(160, 120, 12), "-c:v", "libsvtav1", "-preset", "12")...))
	odd := packets(t, testkit.Clip(t, "odd.webm", append(testsrc(161, 121, 12), "-c:v", "libvpx-vp9", "-deadline", "realtime", "-lag-in-frames", "0")...))
	turned := append([]ingest.Packet(nil), h264...)
	for i := range turned {
		turned[i].Rotation = 90
	}
	for _, c := range []struct {
		name, kind, note string
		list             []ingest.Packet
	}{
		{"codec", emu.Codec, "cuda: no decoder for this h264: ", h264},
		{"codec that FFmpeg itself has no decoder of", emu.Codec, "cuda: ", av1},
		{"decoder", emu.Decoder, "cuda: no decoder for this h264: ", h264},
		{"first picture", emu.Picture, "cuda: ", h264},
		{"stream", emu.Stream, "cuda: make a stream: out of memory", h264},
		{"depth", "", "cuda: does not take this h264", high10},
		{"chroma", "", "cuda: does not take this hevc", high444},
		{"odd size", "", "cuda: does not take this vp9", odd},
		{"no decoder", "", "cuda: no decoder of ffv1 in this FFmpeg", ffv1},
		{"turned", "", "cuda: pictures on the device are not turned upright", turned},
	} {
		t.Run(c.name, func(t *testing.T) {
			gpu := openGPU(t)
			want := play(t, decode.Config{Threads: 1}, c.list)
			if c.kind != "" {
				emu.Fail(c.kind, -1)
				t.Cleanup(func() { emu.Fail(c.kind, 0) })
			}
			var log bytes.Buffer
			g := newOnGPU(t, decode.Config{GPU: gpu, Live: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			n := 0
			g.look = func(f, host *decode.Frame) {
				if f.Memory != decode.Host || !bytes.Equal(decodetest.Luma(f), want[n].luma) {
					t.Errorf("picture %d differs", n)
				}
				n++
			}
			g.play(c.list)
			if info := g.info(); n != len(c.list) || info.HWAccel != "" || !strings.HasPrefix(info.Note, c.note) || strings.Count(log.String(), "level=WARN") != 1 {
				t.Errorf("%d pictures, %+v\n%s", n, info, &log)
			}
		})
	}
}
