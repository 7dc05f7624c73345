//go:build cuda

package decode_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/internal/testkit"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// The tests of this file look at what NVDEC's silicon makes of streams. The emulation
// decodes nothing: there they fail instead of passing for nothing, and only
// `make gpu-check` runs them.

func realGPU(t *testing.T) cuda.Device {
	t.Helper()
	if emu.Active() {
		t.Fatal("this test needs a real GPU: the emulated one decodes nothing. Run `make gpu-check` on a machine with one")
	}
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gpu.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%+v", gpu.Info())
	return gpu
}

// reader hands out the pictures of a file as the ffmpeg command decodes them in
// software, one after the other, in a format whose layout is that of device frames.
func reader(t *testing.T, path, format string, width, height int) func() []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", format, "-")
	var text bytes.Buffer
	cmd.Stderr = &text
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, text.Bytes())
	}
	size := width*height + 2*((width+1)/2)*((height+1)/2)
	if format == "p010le" {
		size *= 2
	}
	return func() []byte {
		n := min(size, len(raw))
		picture := raw[:n]
		raw = raw[n:]
		return picture
	}
}

// visible copies a device frame's samples as they are, without gaps.
func visible(t *testing.T, f *decode.Frame) []byte {
	t.Helper()
	s, err := f.GPU.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	width := (f.Width + 1) / 2 * 2
	if f.Format == decode.P010 {
		width *= 2
	}
	rows := [2]int{f.Height, (f.Height + 1) / 2}
	out := make([]byte, width*(rows[0]+rows[1]))
	err = s.Wait(f.Ready)
	at := 0
	for i := range rows {
		if err == nil {
			err = s.Copy2D(cuda.Copy2D{
				To:   cuda.Place{Host: unsafe.Pointer(&out[at]), Pitch: width},
				From: cuda.Place{Address: uint64(uintptr(f.Planes[i].Data)), Pitch: f.Planes[i].Stride}, Width: width, Rows: rows[i],
			})
		}
		at += width * rows[i]
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameBits wants every picture of a file to come off the device, with the samples that
// software gives it.
func sameBits(t *testing.T, gpu cuda.Device, path string) {
	t.Helper()
	list := packets(t, path)
	g := newOnGPU(t, decode.Config{GPU: gpu})
	var next func() []byte
	n := 0
	g.look = func(f, _ *decode.Frame) {
		if f.Memory != decode.CUDA {
			t.Fatalf("picture %d was decoded in software: %s", n+1, g.info())
		}
		if next == nil {
			next = reader(t, path, map[decode.PixelFormat]string{decode.NV12: "nv12", decode.P010: "p010le"}[f.Format], f.Width, f.Height)
		}
		if n++; !bytes.Equal(visible(t, f), next()) {
			t.Errorf("picture %d differs from software", n)
		}
	}
	g.play(list)
	if n == 0 || len(next()) > 0 {
		t.Errorf("%d pictures; software has more", n)
	}
	t.Logf("%d pictures, %+v", n, g.info())
}

// TestGPUDecodeExact decodes made clips: B-pictures, pyramids, interlacing, crops,
// sizes off the grid, 10 bits.
func TestGPUDecodeExact(t *testing.T) {
	gpu := realGPU(t)
	x265 := func(params string) []string {
		return []string{"-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:" + params}
	}
	for name, c := range map[string]struct {
		width, height int
		args          []string
	}{
		"h264.mp4":         {640, 360, []string{"-c:v", "libx264", "-bf", "0", "-g", "12"}},
		"h264-b.mp4":       {1920, 1080, []string{"-c:v", "libx264", "-bf", "3", "-g", "12"}},
		"h264-pyramid.mkv": {1280, 720, []string{"-c:v", "libx264", "-bf", "5", "-b_strategy", "0", "-x264-params", "b-pyramid=normal:open-gop=1:keyint=12"}},
		"h264-fields.mp4":  {720, 576, []string{"-c:v", "libx264", "-flags", "+ildct+ilme", "-g", "12"}},
		"h264-small.mp4":   {150, 90, []string{"-c:v", "libx264", "-bf", "2"}},
		"h264-cut.mp4":     {648, 368, []string{"-c:v", "libx264", "-bsf:v", "h264_metadata=crop_left=8:crop_top=16"}},
		"h265.mp4":         {1920, 1080, x265("bframes=4")},
		"h265-small.mp4":   {152, 168, x265("bframes=3:open-gop=0")},
		"h265-10.mp4":      {1280, 720, append(x265("bframes=3"), "-pix_fmt", "yuv420p10le")},
	} {
		t.Run(name, func(t *testing.T) {
			sameBits(t, gpu, testkit.Clip(t, name, append(testsrc(c.width, c.height, 40), c.args...)...))
		})
	}
}

// TestGPUDecodeSample decodes the sample videos, as far as they are there.
func TestGPUDecodeSample(t *testing.T) {
	gpu := realGPU(t)
	media := filepath.Join(testkit.Root(t), ".deps", "media")
	for _, name := range []string{"vtest.mp4", "clips/c720p15.mp4", "clips/c576p10.mp4"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			path := filepath.Join(media, name)
			_, err := os.Stat(path)
			testkit.Require(t, "media", err == nil, "run `make setup bench-media`")
			cut := testkit.Clip(t, "cut.mp4", "-i", path, "-frames:v", "250", "-c", "copy", "-an")
			sameBits(t, gpu, cut)
		})
	}
}

// TestGPUDecodeMany runs decoders side by side, as many as there may be cameras.
func TestGPUDecodeMany(t *testing.T) {
	gpu := realGPU(t)
	path := testkit.Clip(t, "clip.mp4", append(testsrc(1280, 720, 100), "-c:v", "libx264", "-bf", "2", "-g", "25")...)
	for i := range 16 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			sameBits(t, gpu, path)
		})
	}
}

// TestCUDAWitnesses checks what the tests above compare: the ffmpeg command's pictures
// with software's, and samples as they lie on a device with what Download makes of them.
func TestCUDAWitnesses(t *testing.T) {
	path := testkit.Clip(t, "clip.mp4", append(testsrc(150, 90, 12), "-c:v", "libx264", "-bf", "2")...)
	list := packets(t, path)
	next := reader(t, path, "nv12", 150, 90)
	for i, f := range play(t, decode.Config{Threads: 1}, list) {
		if picture := next(); len(picture) != 150*90*3/2 || !bytes.Equal(picture[:150*90], f.luma) {
			t.Errorf("picture %d is another one, of %d bytes", i, len(picture))
		}
	}
	if len(next()) != 0 {
		t.Error("there are more")
	}
	g := newOnGPU(t, decode.Config{GPU: openGPU(t)})
	n := 0
	g.look = func(f, host *decode.Frame) {
		n++
		if want := unsafe.Slice((*byte)(host.Planes[0].Data), 150*90*3/2); !bytes.Equal(visible(t, f), want) {
			t.Errorf("picture %d on the device is not what it is on the host", n)
		}
	}
	if g.play(list); n != len(list) {
		t.Errorf("%d pictures of %d packets", n, len(list))
	}
}
