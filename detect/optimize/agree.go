package optimize

import (
	"math"

	"sightline/detect"
)

// Agreement tells how alike two networks see the same pictures: what the optimized
// one finds, measured against what the original finds, as if that were the truth.
type Agreement struct {
	Recall    float64 `json:"recall"`    // of the original's boxes, those found again
	Precision float64 `json:"precision"` // of the optimized one's boxes, those the original has
	Boxes     int     `json:"boxes"`     // of the original, on all pictures
	Shift     float64 `json:"shift"`     // the most that a side of a box moved, of the picture's size
	Score     float64 `json:"score"`     // the most that a score changed
}

// Tolerance is how far rounding may move a side of a box (a fiftieth of a pixel of
// 416) and a score in a network that was simplified exactly. It is checked on boxes
// of all scores that are looked at, and a box may come or go only as near as this
// to that least score.
const Tolerance = 5e-5

// Exactly tells whether the networks differ by no more than rounding.
func (a Agreement) Exactly() bool {
	return a.Recall == 1 && a.Precision == 1 && a.Shift <= Tolerance && a.Score <= Tolerance
}

// agreement compares what two networks found, picture by picture. Boxes count from
// least on; those of a score within Tolerance of it are matched where they have a
// partner and otherwise left out. A pair is of one class and overlaps by half of
// its union at least; pairs are made from the highest score of the original on.
func agreement(original, optimized [][]detect.Detection, least float64) Agreement {
	a := Agreement{Recall: 1, Precision: 1}
	found, extra := 0, 0
	for i, was := range original {
		is := optimized[i]
		taken := make([]bool, len(is))
		for _, d := range was {
			k := partner(d, is, taken)
			if k < 0 {
				if d.Score >= least+Tolerance {
					a.Boxes++
				}
				continue
			}
			taken[k] = true
			if d.Score < least && is[k].Score < least {
				continue
			}
			a.Boxes++
			found++
			a.Shift = max(a.Shift, shift(d.Box, is[k].Box))
			a.Score = max(a.Score, math.Abs(d.Score-is[k].Score))
		}
		for k, d := range is {
			if !taken[k] && d.Score >= least+Tolerance {
				extra++
			}
		}
	}
	if a.Boxes > 0 {
		a.Recall = float64(found) / float64(a.Boxes)
	}
	if found+extra > 0 {
		a.Precision = float64(found) / float64(found+extra)
	}
	return a
}

// partner is the free box of d's class that overlaps it most, -1 where none does by
// half.
func partner(d detect.Detection, boxes []detect.Detection, taken []bool) int {
	best, at := 0.5, -1
	for k, o := range boxes {
		if iou := d.Box.IoU(o.Box); !taken[k] && o.Class == d.Class && iou >= best {
			best, at = iou, k
		}
	}
	return at
}

func shift(a, b detect.Rect) float64 {
	return max(math.Abs(a.X-b.X), math.Abs(a.Y-b.Y), math.Abs(a.X+a.W-b.X-b.W), math.Abs(a.Y+a.H-b.Y-b.H))
}
