package eval

import (
	"fmt"
	"slices"

	"sightline/detect"
)

// Frame is what was found in one frame of the video, frames counted from 1: the
// objects of its detections event. A box without a TrackID is a track of its own.
type Frame struct {
	Index int
	Boxes []detect.Box
}

// Options say what is measured.
type Options struct {
	Width, Height int      // of the picture in pixels, which scale boxes of 0..1; 0 where boxes are in pixels
	Classes       []string // that count as the ground truth's class; empty means person
	Confidence    float64  // the working point: boxes below it count for AP50 alone
	First, Last   int      // frames, both included; 0 means 1 and the ground truth's last
	Every         int      // only each such frame, from First; 0 means 1

	Without func(frame int) bool // leaves frames out; nil leaves none out
}

// Result is what was measured. All but AP50 are at the working confidence.
type Result struct {
	Frames      int     `json:"frames"`
	TruthBoxes  int     `json:"gt_boxes"`
	TruthTracks int     `json:"gt_tracks"`
	Boxes       int     `json:"boxes"`
	Tracks      int     `json:"tracks"`
	AP50        float64 `json:"ap50"`
	Precision   float64 `json:"precision"`
	Recall      float64 `json:"recall"`
	MOTA        float64 `json:"mota"`
	MOTP        float64 `json:"motp"` // mean IoU of the matched
	Switches    int     `json:"id_switches"`
	IDF1        float64 `json:"idf1"`
	HOTA        float64 `json:"hota"`
	DetA        float64 `json:"det_a"`
	AssA        float64 `json:"ass_a"`

	Tracked Tracked `json:"tracked"`
}

// Tracked is what is measured of the boxes that have a track alone, as the MOT
// benchmarks do: the others are what a detector saw and the tracker did not
// believe.
type Tracked struct {
	Boxes    int     `json:"boxes"`
	MOTA     float64 `json:"mota"`
	Switches int     `json:"id_switches"`
	IDF1     float64 `json:"idf1"`
	HOTA     float64 `json:"hota"`
}

// overlap is the least IoU of a match, where a measure has only one.
const overlap = 0.5

// sample is one frame ready to be measured: tracks are numbered from 0 over the
// video, and iou has a row for each true box and a column for each found one.
type sample struct {
	truth, found []int
	iou          [][]float64
}

type samples struct {
	frames                  []sample
	truthTracks, tracks     int
	truthBoxes, boxes       int
	truthLength, foundCount []int // boxes of each track
}

// Evaluate measures frames against gt. Frames that are missing found nothing;
// frames outside the options' range are left out.
func Evaluate(gt GroundTruth, frames []Frame, o Options) (Result, error) {
	o.First, o.Every = max(o.First, 1), max(o.Every, 1)
	if o.Last == 0 {
		o.Last = gt.Last
	}
	if len(o.Classes) == 0 {
		o.Classes = []string{"person"}
	}
	if o.Last < o.First {
		return Result{}, fmt.Errorf("frames %d to %d: there are none", o.First, o.Last)
	}
	byIndex := map[int][]detect.Box{}
	for _, f := range frames {
		if _, twice := byIndex[f.Index]; twice {
			return Result{}, fmt.Errorf("frame %d was given twice", f.Index)
		}
		byIndex[f.Index] = scaled(f.Boxes, o)
	}
	var all []candidate
	every, tracked := newSampler(), newSampler()
	for n := o.First; n <= o.Last; n += o.Every {
		if o.Without != nil && o.Without(n) {
			continue
		}
		all = append(all, candidates(gt.Frames[n], byIndex[n])...)
		boxes := slices.DeleteFunc(byIndex[n], func(b detect.Box) bool { return b.Score < o.Confidence })
		every.add(gt.Frames[n], boxes)
		tracked.add(gt.Frames[n], slices.DeleteFunc(boxes, func(b detect.Box) bool { return b.TrackID == "" }))
	}
	r := every.measure()
	r.AP50 = averagePrecision(all, every.truthBoxes)
	t := tracked.measure()
	r.Tracked = Tracked{Boxes: t.Boxes, MOTA: t.MOTA, Switches: t.Switches, IDF1: t.IDF1, HOTA: t.HOTA}
	return r, nil
}

// measure is everything but AP50.
func (s *samples) measure() Result {
	r := Result{Frames: len(s.frames), TruthBoxes: s.truthBoxes, TruthTracks: s.truthTracks, Boxes: s.boxes, Tracks: s.tracks}
	s.clear(&r)
	r.IDF1 = s.idf1()
	s.hota(&r)
	return r
}

// scaled keeps the boxes of the wanted classes, in pixels.
func scaled(boxes []detect.Box, o Options) []detect.Box {
	var out []detect.Box
	for _, b := range boxes {
		if !slices.Contains(o.Classes, b.Class) {
			continue
		}
		if o.Width > 0 && o.Height > 0 {
			w, h := float64(o.Width), float64(o.Height)
			b.BBox = detect.Rect{X: b.BBox.X * w, Y: b.BBox.Y * h, W: b.BBox.W * w, H: b.BBox.H * h}
		}
		out = append(out, b)
	}
	return out
}

// sampler numbers tracks while it collects samples.
type sampler struct {
	samples
	truthID map[int]int
	foundID map[string]int
}

func newSampler() *sampler {
	return &sampler{truthID: map[int]int{}, foundID: map[string]int{}}
}

func (s *sampler) add(truth []Truth, boxes []detect.Box) {
	var f sample
	for _, b := range boxes {
		id, known := s.foundID[b.TrackID]
		if !known || b.TrackID == "" {
			id = s.tracks
			s.tracks++
			s.foundID[b.TrackID] = id
			s.foundCount = append(s.foundCount, 0)
		}
		s.foundCount[id]++
		f.found = append(f.found, id)
	}
	for _, t := range truth {
		id, known := s.truthID[t.Track]
		if !known {
			id = s.truthTracks
			s.truthTracks++
			s.truthID[t.Track] = id
			s.truthLength = append(s.truthLength, 0)
		}
		s.truthLength[id]++
		f.truth = append(f.truth, id)
		row := make([]float64, len(boxes))
		for j, b := range boxes {
			row[j] = t.Box.IoU(b.BBox)
		}
		f.iou = append(f.iou, row)
	}
	s.truthBoxes += len(f.truth)
	s.boxes += len(f.found)
	s.frames = append(s.frames, f)
}

func matrix(rows, columns int) [][]float64 {
	m := make([][]float64, rows)
	for i := range m {
		m[i] = make([]float64, columns)
	}
	return m
}
