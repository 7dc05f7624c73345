package decode_test

import (
	"testing"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/internal/testkit"
)

// FuzzDecode damages one packet of a short clip and cuts it. Whatever comes of
// it, indexes grow, nothing is lost count of, and no frame leaks.
func FuzzDecode(f *testing.F) {
	var clips [][]ingest.Packet
	for _, c := range []struct {
		name string
		args []string
	}{
		{"clip.mp4", []string{"-c:v", "libx264", "-bf", "2"}},
		{"h265.mp4", []string{"-c:v", "libx265", "-x265-params", "log-level=none"}},
		{"clip.webm", []string{"-c:v", "libvpx"}},
		{"vp9.webm", []string{"-c:v", "libvpx-vp9"}},
		{"av1.mkv", []string{"-c:v", "libsvtav1", "-preset", "12"}},
		{"clip.avi", []string{"-c:v", "mjpeg"}},
	} {
		clips = append(clips, packets(f, testkit.Clip(f, c.name, append(testsrc(64, 64, 6), c.args...)...)))
	}
	for i := range clips {
		f.Add(byte(i), byte(0), uint16(20), uint16(30), []byte{0xff, 0x00, 0x80})
		f.Add(byte(i), byte(2), uint16(3), uint16(9), []byte{0x01})
	}
	f.Fuzz(func(t *testing.T, clip, at byte, from, cut uint16, xor []byte) {
		list := append([]ingest.Packet(nil), clips[int(clip)%len(clips)]...)
		bad := &list[int(at)%len(list)]
		data := append([]byte(nil), bad.Data...)
		for i, x := range xor {
			data[(int(from)+i)%len(data)] ^= x
		}
		bad.Data = data[:len(data)-int(cut)%len(data)]
		d, err := decode.New(decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		var last uint64
		out, failed := 0, 0
		emit := func(f *decode.Frame) error {
			defer f.Release()
			if out++; f.Index <= last || f.Width < 1 || f.Height < 1 {
				t.Errorf("index %d after %d, %dx%d", f.Index, last, f.Width, f.Height)
			}
			last = f.Index
			decodetest.Luma(f) // reads every row
			return nil
		}
		for _, p := range list {
			if d.Decode(p, emit) != nil {
				failed++
			}
		}
		d.Flush(emit)
		if out+failed > len(list) || d.Pending() != 0 {
			t.Errorf("%d frames and %d errors of %d packets, %d pending", out, failed, len(list), d.Pending())
		}
	})
}
