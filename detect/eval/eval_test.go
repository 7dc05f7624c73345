package eval

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"sightline/detect"
	"sightline/internal/testkit"
)

func TestReadMOT(t *testing.T) {
	gt, err := ReadMOT(strings.NewReader("1,7,10,20,30,40,1,-1,-1,-1\n\n3, 7, 11.5, 20, 30, 40\r\n2,8,1,1,5,5,0\n4,9,1,1,5,5,0,-1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(gt.Frames) != 2 || gt.Last != 4 || gt.Frames[3][0] != (Truth{7, detect.Rect{X: 11.5, Y: 20, W: 30, H: 40}}) {
		t.Errorf("got %+v", gt)
	}
}

func TestReadMOTErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "empty",
		"1,1,1,1,5,5\n1,2,3":                    "line 2: 3 fields",
		"1,1,1,1,5,5\n2,1,x,1,5,5":              `line 2: field 3: "x" is not a number`,
		"1,1,1,1,NaN,5":                         `line 1: field 5: "NaN" is not a number`,
		"0,1,1,1,5,5":                           "line 1: frame 0",
		"1.5,1,1,1,5,5":                         "line 1: frame 1.5",
		"1,1,1,1,0,5":                           "line 1: box of 0 x 5",
		"1,1,1,1,5,5\n1,2,1,1,5,5\n1,1,9,9,5,5": "line 3: track 1 is in frame 1 twice, first in line 1",
		strings.Repeat("1", 1<<17):              "read ground truth",
	} {
		if _, err := ReadMOT(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzReadMOT(f *testing.F) {
	f.Add("1,7,10,20,30,40,1,-1,-1,-1\n2,7,1,1,5,5,0")
	f.Fuzz(func(t *testing.T, text string) {
		gt, err := ReadMOT(strings.NewReader(text))
		if err == nil && gt.Last < 1 {
			t.Errorf("no error and no frame: %+v", gt)
		}
	})
}

func box(score, x float64) detect.Box {
	return detect.Box{Class: "person", Score: score, BBox: detect.Rect{X: x, Y: 0, W: 10, H: 10}}
}

func TestAveragePrecision(t *testing.T) {
	truth := []Truth{{1, detect.Rect{X: 0, Y: 0, W: 10, H: 10}}, {2, detect.Rect{X: 100, Y: 0, W: 10, H: 10}}}
	gt := GroundTruth{Frames: map[int][]Truth{1: truth}, Last: 1}
	for _, tt := range []struct {
		name  string
		boxes []detect.Box
		want  float64
	}{
		{"nothing found", nil, 0},
		{"all found", []detect.Box{box(.9, 0), box(.8, 100)}, 1},
		{"half found", []detect.Box{box(.9, 0)}, .5},
		{"a false box below the true ones", []detect.Box{box(.9, 0), box(.8, 100), box(.1, 50)}, 1},
		{"a false box between them", []detect.Box{box(.9, 0), box(.8, 50), box(.7, 100)}, .5 + .5*2/3},
		{"a false box above them", []detect.Box{box(.9, 50), box(.8, 0), box(.7, 100)}, 2. / 3},
		{"one found twice", []detect.Box{box(.9, 0), box(.8, 1), box(.7, 100)}, .5 + .5*2/3},
		{"equal scores are one point", []detect.Box{box(.9, 50), box(.9, 0)}, .25},
		{"an overlap just over half is enough", []detect.Box{box(.9, 3.3)}, .5},
		{"less is not", []detect.Box{box(.9, 3.5)}, 0},
		{"other classes", []detect.Box{{Class: "car", Score: 1, BBox: truth[0].Box}, box(.8, 100)}, .5},
	} {
		r, err := Evaluate(gt, []Frame{{1, tt.boxes}}, Options{Confidence: 2})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.AP50-tt.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", tt.name, r.AP50, tt.want)
		}
		if r.Boxes != 0 {
			t.Errorf("%s: %d boxes above the working confidence", tt.name, r.Boxes)
		}
	}
}

// TestEvaluateOptions measures boxes in parts of the picture, at a working
// confidence, on every other frame; boxes without a track are tracks of their own.
func TestEvaluateOptions(t *testing.T) {
	gt := GroundTruth{Frames: map[int][]Truth{}, Last: 4}
	var frames []Frame
	for n := 1; n <= 4; n++ {
		gt.Frames[n] = []Truth{{1, detect.Rect{X: 10, Y: 20, W: 30, H: 40}}}
		b := detect.Box{Class: "person", Score: .5, BBox: detect.Rect{X: .1, Y: .1, W: .3, H: .2}}
		weak := b
		weak.Score, weak.BBox.X = .3, .6
		frames = append(frames, Frame{n, []detect.Box{b, weak}})
	}
	r, err := Evaluate(gt, frames, Options{Width: 100, Height: 200, Confidence: .4, First: 2, Every: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r.Frames != 2 || r.Boxes != 2 || r.Tracks != 2 || r.Precision != 1 || r.Recall != 1 || r.Switches != 1 || r.IDF1 != .5 || r.MOTA != .5 {
		t.Errorf("got %+v", r)
	}
	if r.Tracked != (Tracked{}) {
		t.Errorf("nothing is tracked, got %+v", r.Tracked)
	}
	for i := range frames {
		frames[i].Boxes[0].TrackID = "a"
		frames[i].Boxes = append(frames[i].Boxes, detect.Box{Class: "person", Score: .9})
	}
	r, err = Evaluate(gt, frames, Options{Width: 100, Height: 200, Confidence: .4})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tracked{Boxes: 4, MOTA: 1, IDF1: 1, HOTA: 1}); r.Boxes != 8 || r.Precision != .5 || round(r.Tracked) != want {
		t.Errorf("got %+v, want %+v among them", r, want)
	}
	r, err = Evaluate(gt, frames, Options{Width: 100, Height: 200, Confidence: .4, Without: func(frame int) bool { return frame%4 != 3 }})
	if err != nil || r.Frames != 1 || r.TruthBoxes != 1 || r.Boxes != 2 {
		t.Errorf("of frame 3 alone got %+v, %v", r, err)
	}
	if _, err := Evaluate(gt, append(frames, frames[0]), Options{}); err == nil {
		t.Error("a frame twice gave no error")
	}
	if _, err := Evaluate(gt, frames, Options{First: 9}); err == nil {
		t.Error("a range without frames gave no error")
	}
}

func round(t Tracked) Tracked {
	t.HOTA = math.Round(t.HOTA*1e9) / 1e9
	return t
}

func TestCompareCounts(t *testing.T) {
	truth := []detect.Count{{Class: "person", Direction: "forward", Count: 4}, {Class: "person", Direction: "backward", Count: 2}}
	got := CompareCounts(truth, []detect.Count{{Class: "person", Direction: "forward", Count: 2}, {Class: "person", Direction: "forward", Count: 3}, {Class: "car", Direction: "forward", Count: 1}})
	if want := (LineError{Truth: 6, Counted: 6, Wrong: 4, Relative: 4. / 6}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestScenes(t *testing.T) {
	r := detect.Rect{X: 10, Y: 20, W: 30, H: 40}
	gt := GroundTruth{Frames: map[int][]Truth{1: {{5, r}, {2, r}}, 3: {{5, r}}}, Last: 4}
	start := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	scenes := gt.Scenes("person", 100, 200, start, time.Second)
	want := [][][2]int{{{3, 1}, {6, 0}}, {{6, -1}}, {{6, 0}}, {}} // track, detection
	if len(scenes) != len(want) {
		t.Fatalf("got %d scenes", len(scenes))
	}
	for n, s := range scenes {
		if len(s.Tracks) != len(want[n]) {
			t.Fatalf("frame %d: got %+v", n+1, s.Tracks)
		}
		for i, tr := range s.Tracks {
			if int(tr.ID) != want[n][i][0] || tr.Detection != want[n][i][1] || tr.Box != (detect.Rect{X: .1, Y: .1, W: .3, H: .2}) || !tr.FirstSeen.Equal(start) {
				t.Errorf("frame %d: got %+v", n+1, tr)
			}
		}
	}
}

// TestPETS reads real ground truth where there is one, which must not be shipped.
func TestPETS(t *testing.T) {
	path := os.Getenv("SIGHTLINE_GT")
	if path == "" {
		t.Skip("skipped: needs ground truth: set SIGHTLINE_GT to a file in MOTChallenge form")
	}
	f, err := os.Open(path)
	testkit.Require(t, "gt", err == nil, "SIGHTLINE_GT names no readable file")
	defer f.Close()
	gt, err := ReadMOT(f)
	if err != nil {
		t.Fatal(err)
	}
	var frames []Frame
	for n, truths := range gt.Frames {
		fr := Frame{Index: n}
		for _, tr := range truths {
			fr.Boxes = append(fr.Boxes, detect.Box{Class: "person", Score: 1, TrackID: string(rune('a' + tr.Track)), BBox: tr.Box})
		}
		frames = append(frames, fr)
	}
	r, err := Evaluate(gt, frames, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]float64{"AP50": r.AP50, "MOTA": r.MOTA, "IDF1": r.IDF1, "HOTA": r.HOTA} {
		if math.Abs(v-1) > 1e-9 {
			t.Errorf("the truth against itself: %s is %v", name, v)
		}
	}
}
