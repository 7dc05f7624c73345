package eval

import (
	"cmp"
	"slices"
	"time"

	"sightline/detect"
)

// LineError is how far the count of a line is off.
type LineError struct {
	Truth    int     `json:"gt_crossings"`
	Counted  int     `json:"crossings"`
	Wrong    int     `json:"wrong"`    // missed or too many, by class and direction
	Relative float64 `json:"relative"` // Wrong in parts of Truth, or of 1 where nobody crossed
}

// CompareCounts compares counts with the true ones; windows of one line are
// summed. True counts come from a count rule that is fed with Scenes.
func CompareCounts(truth, counted []detect.Count) LineError {
	type key struct{ class, direction string }
	off := map[key]int{}
	var e LineError
	for _, c := range truth {
		e.Truth += c.Count
		off[key{c.Class, c.Direction}] -= c.Count
	}
	for _, c := range counted {
		e.Counted += c.Count
		off[key{c.Class, c.Direction}] += c.Count
	}
	for _, n := range off {
		e.Wrong += max(n, -n)
	}
	e.Relative = float64(e.Wrong) / float64(max(1, e.Truth))
	return e
}

// Scenes shows the ground truth as a perfect tracker would: what rules say of
// them is the truth about lines and zones. Pictures are width by height pixels
// and interval apart, the first at start; all objects are of one class.
func (g GroundTruth) Scenes(class string, width, height int, start time.Time, interval time.Duration) []detect.Scene {
	w, h := float64(width), float64(height)
	last := map[int]int{}
	for n, truths := range g.Frames {
		for _, t := range truths {
			last[t.Track] = max(last[t.Track], n)
		}
	}
	scenes := make([]detect.Scene, 0, g.Last)
	var alive []detect.Track
	for n := 1; n <= g.Last; n++ {
		s := detect.Scene{At: start.Add(time.Duration(n-1) * interval), Frame: detect.FrameInfo{Index: uint64(n), Width: width, Height: height}}
		alive = slices.DeleteFunc(alive, func(t detect.Track) bool { return last[int(t.ID)-1] < n })
		for i := range alive {
			alive[i].Detection = -1
		}
		for _, t := range g.Frames[n] {
			box := detect.Rect{X: t.Box.X / w, Y: t.Box.Y / h, W: t.Box.W / w, H: t.Box.H / h}
			s.Detections = append(s.Detections, detect.Detection{Class: class, Score: 1, Box: box})
			id := uint64(t.Track) + 1 // 0 is no track here
			i, known := slices.BinarySearchFunc(alive, id, func(t detect.Track, id uint64) int { return cmp.Compare(t.ID, id) })
			if !known {
				alive = slices.Insert(alive, i, detect.Track{ID: id, Class: class, Score: 1, Confirmed: true, FirstSeen: s.At})
			}
			alive[i].Box, alive[i].Detection, alive[i].LastSeen = box, len(s.Detections)-1, s.At
		}
		s.Tracks = slices.Clone(alive)
		scenes = append(scenes, s)
	}
	return scenes
}
