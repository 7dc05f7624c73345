package decode_test

import (
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/internal/testkit"
)

// TestFilterSkip switches the loop filter while a stream is decoded: left out of
// pictures that nothing refers to it changes those alone, and all is right again
// from the keyframe at which it is back.
func TestFilterSkip(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"h264.mkv", []string{"-c:v", "libx264", "-x264-params", "bframes=3:b-adapt=0:b-pyramid=normal:keyint=24:min-keyint=24:scenecut=0:crf=38"}},
		{"h265.mkv", []string{"-c:v", "libx265", "-x265-params", "log-level=none:open-gop=0:bframes=3:b-adapt=0:keyint=24:min-keyint=24:scenecut=0:crf=38"}},
		{"vp8.webm", []string{"-c:v", "libvpx", "-g", "24", "-deadline", "realtime", "-b:v", "60k", "-error-resilient", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := packets(t, testkit.Clip(t, c.name, append(testsrc(320, 240, 72), c.args...)...))
			hasher := decodetest.NewHasher()
			_, want := whole(t, list, hasher)
			made, err := decode.New(decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close()
			levels := []decode.FilterSkip{decode.FilterSkipNonref, decode.FilterSkipAll, decode.FilterSkipNone}
			part := -1
			parts := map[time.Duration]int{}
			disposable := map[time.Duration]bool{}
			var differ, same [3][2]int
			emit := func(f *decode.Frame) error {
				defer f.Release()
				at, alone := parts[f.PTS], 0
				if disposable[f.PTS] {
					alone = 1
				}
				if f.Damaged {
					t.Errorf("picture at %v is marked", f.PTS)
				}
				if hasher.Sum(f) == want[f.PTS] {
					same[at][alone]++
				} else {
					differ[at][alone]++
				}
				return nil
			}
			for _, p := range list {
				if p.Keyframe && part < 2 {
					part++
					made.(decode.Tuner).SetFilterSkip(levels[part])
				}
				parts[p.PTS], disposable[p.PTS] = part, p.Disposable
				if err := made.Decode(p, emit); err != nil {
					t.Fatal(err)
				}
			}
			made.Flush(emit)
			if differ[0][0] > 0 || c.args[1] != "libvpx" && differ[0][1] == 0 {
				t.Errorf("without the filter of pictures nothing refers to %d of those and %d others differ", differ[0][1], differ[0][0])
			}
			if differ[1][0] < same[1][0] {
				t.Errorf("without the filter %d pictures differ, %d do not", differ[1][0], same[1][0])
			}
			if differ[2] != [2]int{} {
				t.Errorf("%v pictures differ once the filter is back", differ[2])
			}
		})
	}
	vp9 := packets(t, testkit.Clip(t, "vp9.webm", append(testsrc(320, 240, 12), "-c:v", "libvpx-vp9", "-b:v", "60k", "-deadline", "realtime", "-cpu-used", "8")...))
	hasher := decodetest.NewHasher()
	_, want := whole(t, vp9, hasher)
	run(t, decode.Config{Threads: 1, SkipLoopFilter: true}, vp9, func(ingest.Packet) bool { return false }, func(f *decode.Frame) {
		if hasher.Sum(f) != want[f.PTS] {
			t.Errorf("vp9: the picture at %v changed", f.PTS)
		}
	})
}
