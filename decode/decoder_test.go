package decode_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/internal/testkit"
)

// packets reads a whole file.
func packets(t testing.TB, path string) []ingest.Packet {
	t.Helper()
	source, err := file.New(file.Config{Path: path, Pace: file.Fastest}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var list []ingest.Packet
	err = source.Run(context.Background(), func(p ingest.Packet) error {
		list = append(list, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// shown is what a test keeps of a frame.
type shown struct {
	decode.Frame
	luma []byte
}

// play decodes packets and flushes; it wants no error.
func play(t *testing.T, c decode.Config, list []ingest.Packet) []shown {
	t.Helper()
	c.Frames = decodetest.Live(t)
	d, err := decode.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var out []shown
	emit := func(f *decode.Frame) error {
		out = append(out, shown{*f, decodetest.Luma(f)})
		f.Release()
		return nil
	}
	for i, p := range list {
		if err := d.Decode(p, emit); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if err := d.Flush(emit); err != nil {
		t.Fatal(err)
	}
	if n := d.Pending(); n != 0 {
		t.Errorf("%d packets pending after the flush", n)
	}
	return out
}

// reference is the luma of all pictures of a file as the ffmpeg command decodes them.
func reference(t *testing.T, path string, width, height int) [][]byte {
	t.Helper()
	var out, text bytes.Buffer
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
	cmd.Stdout, cmd.Stderr = &out, &text
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, text.Bytes())
	}
	size := width*height + 2*((width+1)/2)*((height+1)/2)
	var list [][]byte
	for chunk := range slices.Chunk(out.Bytes(), size) {
		list = append(list, chunk[:width*height])
	}
	return list
}

func testsrc(width, height, frames int) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=160x120:rate=25,scale=%d:%d", width, height),
		"-frames:v", strconv.Itoa(frames)}
}

// TestCodecs decodes clips of each codec and compares every picture with what
// the ffmpeg command makes of it, in order, with times and indexes in step.
func TestCodecs(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		args          []string
	}{
		{"h264.mp4", 160, 120, []string{"-c:v", "libx264", "-bf", "3", "-g", "10"}},
		{"h264-b-pyramid.mkv", 160, 120, []string{"-c:v", "libx264", "-bf", "5", "-b_strategy", "0", "-x264-params", "b-pyramid=normal:open-gop=1:keyint=12"}},
		{"h264.ts", 160, 120, []string{"-c:v", "libx264", "-bf", "2", "-g", "10"}},
		{"raw.h264", 160, 120, []string{"-c:v", "libx264", "-bf", "2", "-g", "10"}},
		{"b-frames.avi", 160, 120, []string{"-c:v", "libx264", "-bf", "2", "-g", "10"}},
		{"h265.mp4", 160, 120, []string{"-c:v", "libx265", "-x265-params", "log-level=none:bframes=3:keyint=10"}},
		{"raw.h265", 160, 120, []string{"-c:v", "libx265", "-x265-params", "log-level=none:bframes=3:keyint=10"}},
		{"vp8.webm", 160, 120, []string{"-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "200k"}},
		{"vp9.webm", 160, 120, []string{"-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "200k"}},
		{"av1.mp4", 160, 120, []string{"-c:v", "libsvtav1", "-preset", "12"}},
		{"av1.mkv", 160, 120, []string{"-c:v", "libsvtav1", "-preset", "12"}},
		{"mjpeg.avi", 160, 120, []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj420p"}},
		{"mjpeg422.mkv", 160, 120, []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj422p"}},
		{"mpeg4.avi", 160, 120, []string{"-c:v", "mpeg4", "-bf", "2"}},
		{"mpeg4.mp4", 160, 120, []string{"-c:v", "mpeg4", "-bf", "2"}},
		{"mpeg2.mpg", 160, 120, []string{"-c:v", "mpeg2video", "-bf", "2"}},
		{"high10.mp4", 160, 120, []string{"-c:v", "libx264", "-pix_fmt", "yuv420p10le"}},
		{"high444.mp4", 160, 120, []string{"-c:v", "libx264", "-pix_fmt", "yuv444p"}},
		{"gray.mkv", 160, 120, []string{"-c:v", "ffv1", "-pix_fmt", "gray"}},
		{"rgb.mkv", 160, 120, []string{"-c:v", "ffv1", "-pix_fmt", "bgr0"}},
		{"palette.gif", 160, 120, nil},
		{"one-pixel.mkv", 1, 1, []string{"-c:v", "ffv1", "-pix_fmt", "yuv420p"}},
		{"tiny.mkv", 3, 5, []string{"-c:v", "ffv1", "-pix_fmt", "yuv420p"}},
		{"tiny-rgb.mkv", 3, 5, []string{"-c:v", "ffv1", "-pix_fmt", "bgr0"}},
		{"odd.webm", 641, 359, []string{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"}},
		{"odd.avi", 641, 359, []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj420p"}},
		{"odd422.avi", 641, 359, []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj422p"}},
		{"crop.mp4", 642, 358, []string{"-c:v", "libx264"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const count = 24
			path := testkit.Clip(t, c.name, append(testsrc(c.width, c.height, count), c.args...)...)
			list := packets(t, path)
			got, want := play(t, decode.Defaults(), list), reference(t, path, c.width, c.height)
			if len(got) != count || len(want) != count {
				t.Fatalf("%d frames, ffmpeg has %d, want %d", len(got), len(want), count)
			}
			var step time.Duration
			for i, f := range got {
				if f.Width != c.width || f.Height != c.height {
					t.Fatalf("frame %d is %dx%d", i, f.Width, f.Height)
				}
				if f.Index != uint64(i+1) || f.Damaged {
					t.Errorf("frame %d has index %d, damaged %v", i, f.Index, f.Damaged)
				}
				if i == 1 {
					step = f.PTS - got[0].PTS
				}
				if off := f.PTS - got[0].PTS - time.Duration(i)*step; off.Abs() > 2*time.Millisecond {
					t.Errorf("frame %d at %v, the step being %v", i, f.PTS, step)
				}
				if f.Captured.Sub(got[0].Captured) != f.PTS-got[0].PTS || !f.Decoded.IsZero() {
					t.Errorf("frame %d captured %v, decoded %v", i, f.Captured, f.Decoded)
				}
				if !near(f.luma, want[i], f.Color.FullRange) {
					t.Fatalf("frame %d differs from ffmpeg's", i)
				}
			}
			if got[0].PTS != 0 || (step-40*time.Millisecond).Abs() > time.Millisecond {
				t.Errorf("starts at %v in steps of %v", got[0].PTS, step)
			}
		})
	}
}

// near compares luma with the reference's, which is always limited range.
func near(got, want []byte, full bool) bool {
	for i := range want {
		v := int(got[i])
		if full {
			v = (v*219+127)/255 + 16
		}
		if d := v - int(want[i]); d > 2 || d < -2 {
			return false
		}
	}
	return len(got) == len(want)
}

// TestSampleVideo decodes a real recording: MPEG-4 v3 in an AVI, whose picture
// size only the container knows.
func TestSampleVideo(t *testing.T) {
	d, err := decode.New(decode.Config{Threads: 1, Frames: decodetest.Live(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	count := 0
	emit := func(f *decode.Frame) error {
		if count++; f.Index != uint64(count) || f.PTS != time.Duration(count-1)*100*time.Millisecond || f.Width != 768 || f.Height != 576 {
			t.Errorf("frame %d: index %d, at %v, %dx%d", count, f.Index, f.PTS, f.Width, f.Height)
		}
		f.Release()
		return nil
	}
	for _, p := range packets(t, testkit.Dep(t, "media/vtest.avi")) {
		if err := d.Decode(p, emit); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(emit); err != nil || count != 795 {
		t.Errorf("%d frames, error %v", count, err)
	}
}

func TestUnsupported(t *testing.T) {
	d, err := decode.New(decode.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Decode(ingest.Packet{Codec: "cavs3", Data: []byte{1}, Keyframe: true}, nil)
	if !errors.Is(err, decode.ErrUnsupported) || err.Error() != `decode: unsupported codec "cavs3"` {
		t.Errorf("error %v", err)
	}
}
