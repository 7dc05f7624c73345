package decode_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/internal/testkit"
)

// rig is a decoder and what came out of it.
type rig struct {
	decode.Decoder
	frames []decode.Frame
}

func newRig(t *testing.T, c decode.Config) *rig {
	t.Helper()
	c.Frames = decodetest.Live(t)
	d, err := decode.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &rig{Decoder: d}
}

func (r *rig) emit(f *decode.Frame) error {
	r.frames = append(r.frames, *f)
	f.Release()
	return nil
}

func (r *rig) feed(t *testing.T, list ...ingest.Packet) {
	t.Helper()
	for i, p := range list {
		if err := r.Decode(p, r.emit); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
}

func (r *rig) flush(t *testing.T) {
	t.Helper()
	if err := r.Flush(r.emit); err != nil {
		t.Fatal(err)
	}
}

func h264(t *testing.T, size, frames int, params string) []ingest.Packet {
	t.Helper()
	return packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(size, size*3/4, frames), "-c:v", "libx264", "-x264-params", params)...))
}

const noB = "bframes=0:keyint=12:scenecut=0"

// TestSizeChange switches picture size and codec inside an epoch.
func TestSizeChange(t *testing.T) {
	list := append(h264(t, 160, 10, "bframes=2"), h264(t, 320, 10, "bframes=2")...)
	list = append(list, packets(t, testkit.Clip(t, "clip.webm", append(testsrc(64, 48, 10), "-c:v", "libvpx")...))...)
	for i := range list {
		list[i].Epoch = "one"
		list[i].PTS += time.Duration(i/10) * time.Second
	}
	r := newRig(t, decode.Defaults())
	r.feed(t, list...)
	r.flush(t)
	if len(r.frames) != 30 {
		t.Fatalf("%d frames", len(r.frames))
	}
	for i, f := range r.frames {
		if want := []int{160, 320, 64}[i/10]; f.Width != want || f.Height != want*3/4 || f.Index != uint64(i+1) || f.Damaged {
			t.Errorf("frame %d: %dx%d, index %d, damaged %v", i, f.Width, f.Height, f.Index, f.Damaged)
		}
	}
}

// TestEpochs lets the pictures held back at an epoch's end out under its name,
// whether the next epoch begins with a decoded or a skipped packet.
func TestEpochs(t *testing.T) {
	list := h264(t, 160, 12, "bframes=3:b-adapt=0")
	for _, skip := range []bool{false, true} {
		r := newRig(t, decode.Defaults())
		r.feed(t, list...)
		if r.Pending() == 0 || len(r.frames)+r.Pending() != 12 {
			t.Fatalf("%d frames and %d pending of 12", len(r.frames), r.Pending())
		}
		next := append([]ingest.Packet(nil), list...)
		for i := range next {
			next[i].Epoch = "two"
		}
		if skip {
			r.Skip(next[0])
			if err := r.Decode(next[1], r.emit); !errors.Is(err, decode.ErrNoKeyframe) {
				t.Errorf("error %v", err)
			}
		} else {
			r.feed(t, next...)
			r.flush(t)
		}
		for i, f := range r.frames {
			if want := uint64(i%12 + 1); f.Index != want || (f.Epoch == "two") != (i >= 12) {
				t.Errorf("frame %d: index %d of epoch %s", i, f.Index, f.Epoch)
			}
		}
		if want := map[bool]int{false: 24, true: 12}[skip]; len(r.frames) != want {
			t.Errorf("skip %v: %d frames, want %d", skip, len(r.frames), want)
		}
	}
}

// TestSkip passes over what nothing depends on, and counts it.
func TestSkip(t *testing.T) {
	list := h264(t, 160, 24, "bframes=2:b-adapt=0:b-pyramid=none:keyint=12")
	r := newRig(t, decode.Defaults())
	skipped := 0
	for _, p := range list {
		if p.Disposable {
			r.Skip(p)
			skipped++
			continue
		}
		r.feed(t, p)
	}
	r.flush(t)
	if skipped < 12 || len(r.frames) != 24-skipped {
		t.Fatalf("%d skipped, %d frames", skipped, len(r.frames))
	}
	for _, f := range r.frames {
		if want := uint64(f.PTS/(40*time.Millisecond)) + 1; f.Index != want || f.Damaged {
			t.Errorf("frame at %v: index %d, want %d; damaged %v", f.PTS, f.Index, want, f.Damaged)
		}
	}
}

func TestNoKeyframe(t *testing.T) {
	list := h264(t, 160, 24, noB)
	r := newRig(t, decode.Defaults())
	for _, p := range list[3:12] {
		if err := r.Decode(p, r.emit); !errors.Is(err, decode.ErrNoKeyframe) {
			t.Fatalf("error %v", err)
		}
	}
	r.feed(t, list[12:]...)
	r.flush(t)
	if len(r.frames) != 12 || r.frames[0].Index != 10 || r.frames[0].Damaged || !r.frames[0].Keyframe {
		t.Errorf("%d frames, the first %+v", len(r.frames), r.frames[0])
	}
}

// TestLoss loses a packet: everything until the next keyframe is damaged,
// whoever noticed it.
func TestLoss(t *testing.T) {
	list := h264(t, 160, 36, noB)
	marked := list[6]
	marked.Break = true
	garbled := list[5]
	garbled.Data = append([]byte(nil), garbled.Data...)
	for i := len(garbled.Data) / 3; i < len(garbled.Data); i++ {
		garbled.Data[i] ^= byte(i*7 + 1)
	}
	for _, c := range []struct {
		name string
		list []ingest.Packet
		from uint64 // first damaged index
	}{
		{"source noticed", append(append(list[:5:5], marked), list[7:]...), 6},
		{"caller skipped", append(append(list[:5:5], ingest.Packet{}), list[6:]...), 7},
		{"garbled", append(append(list[:5:5], garbled), list[6:]...), 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, decode.Defaults())
			failed := 0
			for i, p := range c.list {
				if p.Data == nil {
					r.Skip(list[i])
				} else if r.Decode(p, r.emit) != nil {
					failed++
				}
			}
			r.flush(t)
			if failed > 1 || len(r.frames) < 34 {
				t.Fatalf("%d frames, %d errors", len(r.frames), failed)
			}
			for _, f := range r.frames {
				if want := f.Index >= c.from && f.PTS < 12*40*time.Millisecond; f.Damaged != want {
					t.Errorf("frame %d at %v: damaged %v", f.Index, f.PTS, f.Damaged)
				}
			}
		})
	}
}

// TestRefused feeds what is no H.264 at all in the middle of a stream.
func TestRefused(t *testing.T) {
	list := h264(t, 160, 24, noB)
	r := newRig(t, decode.Defaults())
	r.feed(t, list[:5]...)
	bad := list[5]
	for _, bad.Data = range [][]byte{nil, []byte("not a picture"), {0, 0, 0, 1, 0x65}, {0, 0, 0, 1, 0x67, 0xff}} {
		if err := r.Decode(bad, r.emit); err == nil || !strings.HasPrefix(err.Error(), "decode h264: ") {
			t.Errorf("% x: error %v", bad.Data, err)
		}
	}
	if r.Pending() != 0 {
		t.Errorf("%d pending", r.Pending())
	}
	r.feed(t, list[12:]...)
	if n := len(r.frames); n != 17 || r.frames[n-1].Damaged {
		t.Errorf("%d frames", n)
	}
}

// TestLive wants each picture out of the call that brought its packet, and stamped.
func TestLive(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"clip.mp4", []string{"-c:v", "libx264", "-bf", "0"}},
		{"h265.mp4", []string{"-c:v", "libx265", "-x265-params", "log-level=none:bframes=0"}},
		{"clip.webm", []string{"-c:v", "libvpx", "-deadline", "realtime"}},
		{"vp9.webm", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-lag-in-frames", "0"}},
		{"av1.mkv", []string{"-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "pred-struct=1"}},
		{"clip.avi", []string{"-c:v", "mjpeg"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, decode.Config{Threads: 2, Live: true})
			for i, p := range packets(t, testkit.Clip(t, c.name, append(testsrc(160, 120, 10), c.args...)...)) {
				p.Received = time.Now()
				p.Clock = ingest.Clock{Source: ingest.ClockRTCP, Uncertainty: time.Duration(i)}
				r.feed(t, p)
				if len(r.frames) != i+1 || r.Pending() != 0 {
					t.Fatalf("%d frames out, %d pending after packet %d", len(r.frames), r.Pending(), i)
				}
				f := r.frames[i]
				if f.Received != p.Received || f.Clock != p.Clock || f.Decoded.Before(p.Received) {
					t.Errorf("received %v, clock %v, decoded %v", f.Received, f.Clock, f.Decoded)
				}
			}
		})
	}
}

// TestThreads wants the same pictures however many threads decode.
func TestThreads(t *testing.T) {
	list := h264(t, 320, 50, "bframes=3:keyint=20")
	one, four := play(t, decode.Defaults(), list), play(t, decode.Config{Threads: 4}, list)
	if len(one) != 50 || len(four) != 50 {
		t.Fatalf("%d and %d frames", len(one), len(four))
	}
	for i := range one {
		if string(one[i].luma) != string(four[i].luma) || one[i].Index != four[i].Index || one[i].PTS != four[i].PTS {
			t.Fatalf("frame %d differs", i)
		}
	}
	// Errors are about one packet each, though which one cannot be told.
	r := newRig(t, decode.Config{Threads: 4})
	failed := 0
	for i, p := range list {
		if i == 10 || i == 11 {
			p.Data = []byte{0, 0, 0, 1, 0x65}
		}
		if r.Decode(p, r.emit) != nil {
			failed++
		}
		if len(r.frames)+failed+r.Pending() != i+1 {
			t.Fatalf("after %d packets: %d frames, %d errors, %d pending", i+1, len(r.frames), failed, r.Pending())
		}
	}
	if err := r.Flush(r.emit); len(r.frames) < 40 || failed == 0 && err == nil {
		t.Errorf("%d frames, %d errors, then %v", len(r.frames), failed, err)
	}
}

// TestFramesOutlive keeps frames beyond the decoder and beyond emit's error.
func TestFramesOutlive(t *testing.T) {
	live := decodetest.Live(t)
	d, err := decode.New(decode.Config{Threads: 1, Frames: live})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	var kept []*decode.Frame
	for _, p := range h264(t, 160, 12, "bframes=3:b-adapt=0") {
		d.Decode(p, func(f *decode.Frame) error { kept = append(kept, f); return nil })
	}
	before := len(kept)
	if err := d.Flush(func(f *decode.Frame) error { kept = append(kept, f); return full }); err != full || len(kept) != before+1 {
		t.Fatalf("error %v, %d frames", err, len(kept)-before)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if live.Frames() != len(kept) {
		t.Errorf("%d frames are out, %d were emitted", live.Frames(), len(kept))
	}
	sum := 0
	for _, f := range kept {
		for _, b := range decodetest.Luma(f) {
			sum += int(b)
		}
		f.Retain().Release()
		f.Release()
	}
	if sum == 0 || live.Frames() != 0 {
		t.Errorf("luma sum %d, %d frames out", sum, live.Frames())
	}
}

// TestColor reads the color description, and fills in what a stream leaves open.
func TestColor(t *testing.T) {
	left601 := decode.Color{Matrix: decode.BT601, ChromaLeft: true}
	for _, c := range []struct {
		name          string
		width, height int
		args          []string
		want          decode.Color
	}{
		{"sd.mp4", 160, 120, []string{"-c:v", "libx264"}, left601},
		{"hd.mp4", 1280, 720, []string{"-c:v", "libx264", "-preset", "ultrafast"}, decode.Color{Matrix: decode.BT709, ChromaLeft: true}},
		{"said709.mp4", 160, 120, []string{"-c:v", "libx264", "-colorspace", "bt709"}, decode.Color{Matrix: decode.BT709, ChromaLeft: true}},
		{"said601.mp4", 1280, 720, []string{"-c:v", "libx264", "-preset", "ultrafast", "-colorspace", "smpte170m"}, left601},
		{"full.mp4", 160, 120, []string{"-c:v", "libx264", "-pix_fmt", "yuvj420p"}, decode.Color{Matrix: decode.BT601, FullRange: true, ChromaLeft: true}},
		{"center.mp4", 160, 120, []string{"-c:v", "libx264", "-x264-params", "chromaloc=1"}, decode.Color{Matrix: decode.BT601}},
		{"clip.avi", 160, 120, []string{"-c:v", "mjpeg"}, decode.Color{Matrix: decode.BT601, FullRange: true}},
		{"gray.mkv", 160, 120, []string{"-c:v", "ffv1", "-pix_fmt", "gray"}, decode.Color{Matrix: decode.BT601, FullRange: true, ChromaLeft: true}},
		{"limited422.mkv", 160, 120, []string{"-c:v", "ffv1", "-pix_fmt", "yuv422p"}, left601},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := testkit.Clip(t, c.name, append(testsrc(c.width, c.height, 1), c.args...)...)
			got := play(t, decode.Defaults(), packets(t, path))
			if len(got) != 1 || got[0].Color != c.want || got[0].Format != decode.I420 {
				t.Errorf("%+v, format %v, want %+v", got[0].Color, got[0].Format, c.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for threads, want := range map[int]string{0: "decoder: threads: 0 is not in 1 to 32", 33: "decoder: threads: 33 is not in 1 to 32", 1: "<nil>"} {
		if _, err := decode.New(decode.Config{Threads: threads}); fmt.Sprint(err) != want {
			t.Errorf("%d threads: %v", threads, err)
		}
	}
}

// TestSkipLoopFilter wants other, but not damaged, pictures.
func TestSkipLoopFilter(t *testing.T) {
	list := h264(t, 160, 12, noB+":crf=40")
	with, without := play(t, decode.Defaults(), list), play(t, decode.Config{Threads: 1, SkipLoopFilter: true}, list)
	same := 0
	for i := range without {
		if without[i].Damaged {
			t.Errorf("frame %d is damaged", i)
		}
		if string(with[i].luma) == string(without[i].luma) {
			same++
		}
	}
	if len(without) != 12 || same > 1 {
		t.Errorf("%d frames, %d of them the same with and without the loop filter", len(without), same)
	}
}

// TestRotation turns the pictures of a phone held upright.
func TestRotation(t *testing.T) {
	flat := testkit.Clip(t, "flat.mp4", append(testsrc(160, 118, 3), "-c:v", "libx264")...)
	for _, degrees := range []int{90, 180, 270} {
		path := testkit.Clip(t, "clip.mp4", "-i", flat, "-c", "copy", "-metadata:s:v", fmt.Sprint("rotate=", degrees))
		width, height := 160, 118
		if degrees != 180 {
			width, height = height, width
		}
		got, want := play(t, decode.Defaults(), packets(t, path)), reference(t, path, width, height)
		if len(got) != 3 || got[0].Width != width || got[0].Height != height {
			t.Fatalf("%d degrees: %d frames, %dx%d", degrees, len(got), got[0].Width, got[0].Height)
		}
		for i := range got {
			if string(got[i].luma) != string(want[i]) {
				t.Errorf("%d degrees: frame %d differs from ffmpeg's", degrees, i)
			}
		}
	}
}

// TestLeadingPictures starts at a clean random access picture whose leading
// pictures cannot be decoded: they are counted, and not shown as if they were whole.
func TestLeadingPictures(t *testing.T) {
	all := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 40),
		"-c:v", "libx265", "-x265-params", "log-level=none:open-gop=1:keyint=12:min-keyint=12:bframes=4:b-adapt=0:scenecut=0")...))
	from := 1
	for !all[from].Keyframe {
		from++
	}
	list := all[from:]
	leading := 0
	for _, p := range list {
		if p.PTS < list[0].PTS {
			leading++
		}
	}
	r := newRig(t, decode.Defaults())
	r.feed(t, list...)
	r.flush(t)
	if leading == 0 || len(r.frames) < len(list)-leading {
		t.Fatalf("%d leading, %d frames of %d packets", leading, len(r.frames), len(list))
	}
	for _, f := range r.frames {
		whole := f.PTS >= list[0].PTS
		if whole == f.Damaged || whole && f.Index != uint64(leading+1)+uint64((f.PTS-list[0].PTS)/(40*time.Millisecond)) {
			t.Errorf("frame at %v: index %d, damaged %v", f.PTS, f.Index, f.Damaged)
		}
	}
}
