package decode_test

import (
	"errors"
	"testing"
	"time"

	"sightline/decode"
	"sightline/ingest"
	"sightline/internal/testkit"
)

// TestChangeWithoutKeyframe switches size or codec in the middle of a group of
// pictures, as a camera that was set anew does: nothing unmarked comes of it until
// the next keyframe, and from there everything is right.
func TestChangeWithoutKeyframe(t *testing.T) {
	small := h264(t, 160, 10, noB)
	large := h264(t, 320, 24, noB)
	vp8 := packets(t, testkit.Clip(t, "clip.webm", append(testsrc(320, 240, 24), "-c:v", "libvpx", "-g", "12")...))
	for _, c := range []struct {
		name string
		next []ingest.Packet
		gap  bool // the source noticed
		want error
	}{
		{"size, noticed", large, true, nil},
		{"codec", vp8, false, decode.ErrNoKeyframe},
		{"configuration beside the stream", large, false, decode.ErrNoKeyframe},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, decode.Config{Threads: 1, Live: true})
			list := append(append([]ingest.Packet(nil), small...), c.next[3:]...)
			for i := range list {
				list[i].Epoch = "one"
				list[i].Extradata = nil
				if i >= len(small) {
					list[i].PTS += time.Second
					if c.want != nil && list[i].Codec == ingest.H264 {
						list[i].Extradata = []byte{0, 0, 0, 1, 0x67}
					}
				}
				list[i].Break = c.gap && i == len(small)
			}
			key := len(small)
			for !list[key].Keyframe {
				key++
			}
			for i, p := range list {
				err := r.Decode(p, r.emit)
				if i >= len(small) && i < key && c.want != nil && !errors.Is(err, c.want) || (i < len(small) || i >= key) && err != nil {
					t.Errorf("packet %d: error %v", i, err)
				}
			}
			r.flush(t)
			whole := 0
			for _, f := range r.frames {
				wide := f.PTS >= list[key].PTS
				if f.Damaged {
					if wide || f.PTS < time.Second {
						t.Errorf("picture at %v is marked", f.PTS)
					}
					continue
				}
				whole++
				if want := map[bool]int{false: 160, true: 320}[wide]; f.Width != want || !wide && f.PTS >= time.Second {
					t.Errorf("unmarked picture at %v is %d wide", f.PTS, f.Width)
				}
			}
			if want := len(small) + len(list) - key; whole != want {
				t.Errorf("%d whole pictures, want %d", whole, want)
			}
		})
	}
}
