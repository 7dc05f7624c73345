package decode

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/internal/libav"
	"sightline/internal/testkit"
)

func clip(t testing.TB, name, source string, frames int, args ...string) []ingest.Packet {
	t.Helper()
	all := append([]string{"-f", "lavfi", "-i", source, "-frames:v", fmt.Sprint(frames)}, args...)
	source2, err := file.New(file.Config{Path: testkit.Clip(t, name, all...), Pace: file.Fastest}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var list []ingest.Packet
	if err := source2.Run(t.Context(), func(p ingest.Packet) error { list = append(list, p); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestCeiling keeps every frame: the decoder stops at the ceiling, says why, and
// goes on at a keyframe once frames were given back; then all memory is.
func TestCeiling(t *testing.T) {
	for _, c := range []struct {
		name, size string
		args       []string
	}{
		{"h264.mkv", "320x180", []string{"-c:v", "libx264", "-bf", "2", "-g", "20"}},
		{"odd.mkv", "318x178", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "20"}},
		{"h265.mkv", "320x180", []string{"-c:v", "libx265", "-x265-params", "log-level=none:keyint=20"}},
		{"vp8.webm", "320x180", []string{"-c:v", "libvpx", "-g", "20", "-deadline", "realtime"}},
		{"vp9.webm", "320x180", []string{"-c:v", "libvpx-vp9", "-g", "20", "-deadline", "realtime", "-cpu-used", "8"}},
		{"mjpeg.mkv", "320x180", []string{"-c:v", "mjpeg", "-pix_fmt", "yuvj420p"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := clip(t, c.name, "testsrc2=size="+c.size+":rate=25", 80, c.args...)
			live := &Live{}
			made, err := New(Config{Threads: 1, Frames: live})
			if err != nil {
				t.Fatal(err)
			}
			d := made.(*decoder)
			var kept []*Frame
			keep := func(f *Frame) error { kept = append(kept, f); return nil }
			var refused error
			for _, p := range list {
				if refused = d.Decode(p, keep); refused != nil {
					break
				}
			}
			info := d.Info()
			if !errors.Is(refused, libav.ErrNoMemory) || len(kept) < 8 || len(kept) > spare+1 {
				t.Fatalf("%d frames kept, error %v", len(kept), refused)
			}
			width, height := kept[0].Width, kept[0].Height
			if info.Ceiling != Ceiling(width, height) || info.Held > info.Ceiling || info.Held < info.Ceiling*2/3 {
				t.Errorf("%d bytes held, ceiling %d, for this size %d", info.Held, info.Ceiling, Ceiling(width, height))
			}
			if want := int64(len(kept)) * pixelBytes(kept[0]); live.Bytes() != want || live.Frames() != len(kept) {
				t.Errorf("%d bytes and %d frames are out, want %d and %d", live.Bytes(), live.Frames(), want, len(kept))
			}
			for _, f := range kept {
				f.Release()
			}
			again := 0
			for _, p := range list[45:] {
				err := d.Decode(p, func(f *Frame) error {
					if !f.Damaged {
						again++
					}
					f.Release()
					return nil
				})
				if err != nil && d.trust.group != 0 && !d.trust.damaged {
					t.Error(err)
				}
			}
			if again < 5 || live.Bytes() != 0 {
				t.Errorf("%d whole frames afterwards, %d bytes out", again, live.Bytes())
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if held := d.Info().Held; held != 0 {
				t.Errorf("%d bytes held after Close", held)
			}
		})
	}
}

// TestBombs wants packets that ask for gigabytes refused.
func TestBombs(t *testing.T) {
	for _, c := range []struct {
		codec ingest.Codec
		name  string
		data  []byte
	}{
		// An SPS, PPS and IDR slice whose SPS says 16384×16384.
		{ingest.H264, "h264", bombH264()},
		// A key frame header that says 16383×16383 (RFC 6386 9.1).
		{ingest.VP8, "vp8", append([]byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f}, make([]byte, 200)...)},
		// A baseline frame header that says 65500×65500.
		{ingest.MJPEG, "mjpeg", []byte{
			0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0xff, 0xdc, 0xff, 0xdc, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1,
			0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0, 1, 2, 3, 0xff, 0xd9,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := New(Defaults())
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close()
			begin := time.Now()
			err = made.Decode(ingest.Packet{Codec: c.codec, Data: c.data, Keyframe: true}, func(f *Frame) error {
				t.Errorf("a picture of %dx%d came out", f.Width, f.Height)
				f.Release()
				return nil
			})
			if err == nil {
				t.Error("no error")
			}
			if held := made.(*decoder).Info().Held; held > 0 || time.Since(begin) > 5*time.Second {
				t.Errorf("%d bytes held, after %v", held, time.Since(begin))
			}
			t.Log(err)
		})
	}
}

// bombH264 writes parameter sets of baseline profile for 1024×1024 macroblocks.
func bombH264() []byte {
	var w bitWriter
	w.bits(0x67, 8)
	w.bits(66, 8) // profile
	w.bits(0, 8)
	w.bits(51, 8)                                            // level
	for _, v := range []uint{0, 0, 0, 0, 1, 0, 1023, 1023} { // ids, counters, one reference, no gaps, 1024×1024
		if w.golombs++; w.golombs == 6 {
			w.bits(0, 1)
			continue
		}
		w.golomb(v)
	}
	w.bits(0b1001, 4) // frames only, direct 8x8, no crop, no VUI — see 7.3.2.1.1
	sps := w.done()
	w = bitWriter{}
	w.bits(0x68, 8)
	w.golomb(0)
	w.golomb(0)
	w.bits(0, 2)
	w.golomb(0)
	w.golomb(0)
	w.golomb(0)
	w.bits(0, 3)
	w.golomb(0)
	w.golomb(0)
	w.golomb(0)
	w.bits(0, 3)
	pps := w.done()
	slice := append([]byte{0x65, 0x88, 0x84}, make([]byte, 64)...)
	var out []byte
	for _, unit := range [][]byte{sps, pps, slice} {
		out = append(append(out, 0, 0, 0, 1), unit...)
	}
	return out
}

type bitWriter struct {
	b       []byte
	n       int
	golombs int
}

func (w *bitWriter) bits(v uint, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) golomb(v uint) {
	n := 0
	for (v+1)>>n > 1 {
		n++
	}
	w.bits(0, n)
	w.bits(v+1, n+1)
}

func (w *bitWriter) done() []byte {
	w.bits(1, 1)
	return w.b
}
