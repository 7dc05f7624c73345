package track

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"sightline/detect"
)

// TestReference follows recorded boxes frame by frame beside an independent
// ByteTrack (testdata/record.py): the same tracks must be there, each with the
// same state of its filter.
func TestReference(t *testing.T) {
	want := readRecording(t)
	const step = 40 * time.Millisecond
	tr, err := New(Config{High: 0.5, Low: 0.1, New: 0.6, Overlap: 0.2, Confirm: 2, Published: true,
		Lost:   time.Duration(want.Keep+1) * step, // the recorded tracker forgets a frame late
		Motion: Motion{Step: step, Place: 1. / 20, Speed: 1. / 160}})
	if err != nil {
		t.Fatal(err)
	}
	ids, compared := map[uint64]float64{}, 0
	for n, f := range want.Frames {
		var dets []detect.Detection
		for _, d := range f.Detections {
			dets = append(dets, detect.Detection{Class: "person", Score: d[4],
				Box: detect.Rect{X: d[0] / want.Width, Y: d[1] / want.Height, W: d[2] / want.Width, H: d[3] / want.Height}})
		}
		tr.Update(start.Add(time.Duration(n)*step), detect.Rect{}, dets)
		got := map[float64]*target{}
		for _, o := range tr.live {
			if o.id == 0 {
				continue
			}
			if _, known := ids[o.id]; !known {
				ids[o.id] = reference(o, f.Tracks, want.Width)
			}
			got[ids[o.id]] = o
		}
		if len(got) != len(f.Tracks) {
			t.Fatalf("frame %d: %d tracks, want %d", n+1, len(got), len(f.Tracks))
		}
		for _, w := range f.Tracks {
			o := got[w[0]]
			if o == nil {
				t.Fatalf("frame %d: recorded track %v is not there", n+1, w[0])
			}
			state := [4]float64{o.filter.x.x * want.Width, o.filter.y.x * want.Height, o.filter.a.x * want.Width / want.Height, o.filter.h.x * want.Height}
			for i, v := range state {
				if math.Abs(v-w[i+1]) > 2e-4 {
					t.Fatalf("frame %d: recorded track %v: state %v, want %v", n+1, w[0], state, w[1:])
				}
			}
			compared++
		}
	}
	if len(ids) < 30 || compared < 1500 {
		t.Errorf("compared only %d tracks in %d states", len(ids), compared)
	}
}

type recording struct {
	Width, Height float64
	Keep          int
	Frames        []struct {
		Detections [][5]float64 // x, y, w, h, score
		Tracks     [][5]float64 // id, center x, y, aspect ratio, height
	}
}

func readRecording(t *testing.T) (r recording) {
	t.Helper()
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// reference is the id of the recorded track nearest to a new one.
func reference(o *target, tracks [][5]float64, width float64) float64 {
	best, id := math.Inf(1), -1.0
	for _, w := range tracks {
		if d := math.Abs(o.filter.x.x*width - w[1]); d < best {
			best, id = d, w[0]
		}
	}
	return id
}

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
