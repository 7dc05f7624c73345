package eval

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"sightline/detect"
)

// TestRecorded holds every measure to what TrackEval and py-motmetrics say of
// made-up tracks (testdata/record.py), to four digits.
func TestRecorded(t *testing.T) {
	var scenes []struct {
		Name         string
		Truth, Found [][][5]float64 // by frame: id, x, y, w, h
		TrackEval    map[string]float64
		Motmetrics   map[string]float64
	}
	raw, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &scenes); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenes {
		t.Run(s.Name, func(t *testing.T) {
			gt := GroundTruth{Frames: map[int][]Truth{}, Last: len(s.Truth)}
			var frames []Frame
			for i := range s.Truth {
				for _, r := range s.Truth[i] {
					gt.Frames[i+1] = append(gt.Frames[i+1], Truth{int(r[0]), detect.Rect{X: r[1], Y: r[2], W: r[3], H: r[4]}})
				}
				f := Frame{Index: i + 1}
				for _, r := range s.Found[i] {
					f.Boxes = append(f.Boxes, detect.Box{Class: "person", Score: 1, TrackID: fmt.Sprint(r[0]), BBox: detect.Rect{X: r[1], Y: r[2], W: r[3], H: r[4]}})
				}
				frames = append(frames, f)
			}
			r, err := Evaluate(gt, frames, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]float64{"HOTA": r.HOTA, "DetA": r.DetA, "AssA": r.AssA, "MOTA": r.MOTA, "MOTP": r.MOTP,
				"IDSW": float64(r.Switches), "Precision": r.Precision, "Recall": r.Recall, "IDF1": r.IDF1}
			compare(t, "TrackEval", got, s.TrackEval, 9)
			compare(t, "py-motmetrics", got, s.Motmetrics, 5)
		})
	}
}

func compare(t *testing.T, tool string, got, want map[string]float64, n int) {
	t.Helper()
	if len(want) != n {
		t.Errorf("%s: %d measures recorded, want %d", tool, len(want), n)
	}
	for k, w := range want {
		if math.Abs(got[k]-w) > 5e-5 {
			t.Errorf("%s: %s is %.6f, recorded %.6f", tool, k, got[k], w)
		}
	}
}
