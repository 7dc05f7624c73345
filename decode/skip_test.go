package decode_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
)

// whole decodes everything, and returns index and sum of each picture by its time.
func whole(t *testing.T, list []ingest.Packet, hasher decodetest.Hasher) (index, sum map[time.Duration]uint64) {
	t.Helper()
	index, sum = map[time.Duration]uint64{}, map[time.Duration]uint64{}
	run(t, decode.Defaults(), list, nil, func(f *decode.Frame) { index[f.PTS], sum[f.PTS] = f.Index, hasher.Sum(f) })
	return index, sum
}

// skippingIsExact passes over packets as a sampler may (pictures that nothing
// refers to; all but keyframes; now this, now that) and wants every picture that
// comes out to be the one of that index and time, and none marked.
func (o original) skippingIsExact(t *testing.T) {
	for mode, want := range map[string]func(p ingest.Packet) bool{
		"nonref": func(p ingest.Packet) bool { return p.Disposable },
		"nonkey": func(p ingest.Packet) bool { return !startsClean(p) || !p.Keyframe },
	} {
		decoded, shown := 0, 0
		pass := func(p ingest.Packet) bool {
			if want(p) {
				return true
			}
			decoded++
			return false
		}
		run(t, decode.Config{Threads: 1, Live: true}, o.list, pass, func(f *decode.Frame) {
			shown++
			if f.Damaged || f.Index != o.index[f.PTS] || o.hasher.Sum(f) != o.sum[f.PTS] {
				t.Errorf("%s: picture at %v: index %d, want %d; damaged %v; the same %v", mode, f.PTS, f.Index, o.index[f.PTS], f.Damaged, o.hasher.Sum(f) == o.sum[f.PTS])
			}
		})
		if hiddenOnes := decoded - shown; hiddenOnes > len(o.list)/10 || shown == 0 {
			t.Errorf("%s: %d pictures of %d packets decoded", mode, shown, decoded)
		}
	}
	leads := map[time.Duration]bool{}
	latest := time.Duration(0)
	for _, p := range o.list {
		leads[p.PTS] = p.PTS < latest
		if p.Keyframe {
			latest = p.PTS
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	untilKey := false
	shown := 0
	run(t, decode.Config{Threads: 1, Live: true}, o.list, func(p ingest.Packet) bool {
		if p.Keyframe && startsClean(p) {
			untilKey = false
		} else if r.IntN(20) == 0 {
			untilKey = true
		}
		return untilKey || p.Disposable && r.IntN(2) == 0
	}, func(f *decode.Frame) {
		// Pictures that lead to a keyframe of an open group refer to what was passed over.
		if shown++; f.Damaged != leads[f.PTS] && f.Damaged || !f.Damaged && (f.Index != o.index[f.PTS] || o.hasher.Sum(f) != o.sum[f.PTS]) {
			t.Errorf("mixed: picture at %v: index %d, want %d; damaged %v; the same %v", f.PTS, f.Index, o.index[f.PTS], f.Damaged, o.hasher.Sum(f) == o.sum[f.PTS])
		}
	})
	if shown < 10 && !strings.Contains(o.name, "refresh") {
		t.Errorf("mixed: only %d pictures", shown)
	}
}

// keyframesOnly wants each keyframe out of the call that brought it, though its
// stream reorders pictures, and whole groups again once that ends.
func (o original) keyframesOnly(t *testing.T) {
	d, err := decode.New(decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.(decode.Tuner).SetKeyframesOnly(true)
	shown, refused, marked := 0, 0, 0
	open := strings.Contains(o.name, "open") || strings.Contains(o.name, "radl") || strings.HasPrefix(o.name, "mpeg")
	emit := func(f *decode.Frame) error {
		defer f.Release()
		if shown++; f.Damaged {
			marked++
		} else if f.Index != o.index[f.PTS] && !open || o.hasher.Sum(f) != o.sum[f.PTS] {
			t.Errorf("picture at %v: index %d, want %d; the same %v", f.PTS, f.Index, o.index[f.PTS], o.hasher.Sum(f) == o.sum[f.PTS])
		}
		return nil
	}
	half := len(o.list)/2 + 5
	for i, p := range o.list {
		switch {
		case i >= half:
			d.(decode.Tuner).SetKeyframesOnly(false)
			if err := d.Decode(p, emit); errors.Is(err, decode.ErrNoKeyframe) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		case p.Keyframe && startsClean(p):
			before := shown
			if err := d.Decode(p, emit); err != nil || shown != before+1 || marked > 0 || d.Pending() != 0 {
				t.Fatalf("keyframe at %v: %d pictures came out, %d marked, %d pending, error %v", p.PTS, shown-before, marked, d.Pending(), err)
			}
		default:
			d.Skip(p)
		}
	}
	before := shown
	if err := d.Flush(emit); err != nil || before < 2 || refused+marked > len(o.list)-half || shown-marked < len(o.list)/3 && !strings.Contains(o.name, "refresh") {
		t.Errorf("%d pictures, %d marked, %d refused, error %v", shown, marked, refused, err)
	}
}

// TestSkippedBreak passes over a packet that has a loss before it: passing it over
// is no loss, but what came before was.
func TestSkippedBreak(t *testing.T) {
	list := h264(t, 160, 24, "bframes=2:b-adapt=0:b-pyramid=none:keyint=12")
	at := 2
	for !list[at].Disposable {
		at++
	}
	list[at].Break = true
	r := newRig(t, decode.Defaults())
	for i, p := range list {
		if i == at {
			r.Skip(p)
			continue
		}
		r.feed(t, p)
	}
	r.flush(t)
	after := map[time.Duration]bool{}
	for _, p := range list[at+1 : 12] {
		after[p.PTS] = true
	}
	for _, f := range r.frames {
		if f.Damaged != after[f.PTS] {
			t.Errorf("picture at %v: marked %v", f.PTS, f.Damaged)
		}
	}
}
