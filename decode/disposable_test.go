package decode_test

import (
	"bytes"
	"testing"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/internal/testkit"
)

// What real encoders' pictures say of themselves is so: whoever passes over the
// disposable ones gets the others bit by bit.
func TestDisposableIsDisposable(t *testing.T) {
	const frames = 60
	layers := "ts_number_layers=3:ts_target_bitrate=60,80,100:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:ts_layering_mode=3"
	for _, c := range []struct {
		name, file string
		args       []string
		want       int // disposable ones at least; -1: none at all
	}{
		{"h264 without B", "a.mp4", []string{"-c:v", "libx264", "-x264-params", "bframes=0"}, -1},
		{"h264 B", "a.mp4", []string{"-c:v", "libx264", "-x264-params", "bframes=2:b-adapt=0:b-pyramid=none:keyint=20"}, 35},
		{"h264 pyramid", "a.mkv", []string{"-c:v", "libx264", "-x264-params", "bframes=3:b-adapt=0:b-pyramid=normal:keyint=24"}, 25},
		{"h264 raw", "a.h264", []string{"-c:v", "libx264", "-x264-params", "bframes=2:b-adapt=0"}, 15},
		{"h265 B", "a.mp4", []string{"-c:v", "libx265", "-x265-params", "log-level=error:bframes=2:b-adapt=0:b-pyramid=0"}, 30},
		{"h265 layers", "a.mp4", []string{"-c:v", "libx265", "-x265-params", "log-level=error:bframes=3:b-adapt=0:temporal-layers=1"}, 20},
		{"vp9", "a.webm", []string{"-c:v", "libvpx-vp9", "-b:v", "100k"}, -1},
		{"vp9 layers", "a.webm", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-lag-in-frames", "0", "-error-resilient", "1", "-b:v", "100k", "-ts-parameters", layers}, 25},
		{"av1 pyramid", "a.mp4", []string{"-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "hierarchical-levels=3", "-g", "32"}, 12},
		{"av1 low delay", "a.mkv", []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := packets(t, testkit.Clip(t, c.file, append(testsrc(160, 120, frames), c.args...)...))
			whole := map[uint64][]byte{}
			for _, f := range play(t, decode.Defaults(), list) {
				whole[f.Index] = f.luma
			}
			r, spared, same := newRig(t, decode.Defaults()), 0, 0
			emit := func(f *decode.Frame) error {
				defer f.Release()
				if f.Damaged || !bytes.Equal(decodetest.Luma(f), whole[f.Index]) {
					t.Errorf("frame %d is another without the disposable ones (damaged %v)", f.Index, f.Damaged)
				}
				same++
				return nil
			}
			for i, p := range list {
				if p.Disposable {
					r.Skip(p)
					spared++
				} else if err := r.Decode(p, emit); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
			}
			if err := r.Flush(emit); err != nil {
				t.Fatal(err)
			}
			if spared < c.want || c.want < 0 && spared > 0 || len(whole) != frames || same != frames-spared {
				t.Errorf("%d spared, %d others of %d", spared, same, len(whole))
			}
		})
	}
}
