package eval

import (
	"cmp"
	"slices"

	"sightline/detect"
)

// candidate is a box and whether it found somebody.
type candidate struct {
	score float64
	hit   bool
}

// candidates matches one frame's boxes as COCO does: from the highest score
// down, each takes the true box it overlaps most of those still free.
func candidates(truth []Truth, boxes []detect.Box) []candidate {
	sorted := slices.Clone(boxes)
	slices.SortStableFunc(sorted, func(a, b detect.Box) int { return cmp.Compare(b.Score, a.Score) })
	taken := make([]bool, len(truth))
	out := make([]candidate, 0, len(boxes))
	for _, b := range sorted {
		best, most := -1, overlap
		for j, t := range truth {
			if u := t.Box.IoU(b.BBox); !taken[j] && u >= most && (best < 0 || u > most) {
				best, most = j, u
			}
		}
		if best >= 0 {
			taken[best] = true
		}
		out = append(out, candidate{b.Score, best >= 0})
	}
	return out
}

// averagePrecision is the area under the precision envelope over all recalls
// (all points, as PASCAL VOC 2010 and later; COCO samples the same curve at 101).
// Boxes of equal score are one point of the curve.
func averagePrecision(all []candidate, truth int) float64 {
	if truth == 0 {
		return 0
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	var recall, precision []float64
	hits := 0
	for i, c := range all {
		if c.hit {
			hits++
		}
		if i+1 == len(all) || all[i+1].score != c.score {
			recall = append(recall, float64(hits)/float64(truth))
			precision = append(precision, float64(hits)/float64(i+1))
		}
	}
	area, envelope := 0.0, 0.0
	for i := len(recall) - 1; i >= 0; i-- {
		envelope = max(envelope, precision[i])
		before := 0.0
		if i > 0 {
			before = recall[i-1]
		}
		area += (recall[i] - before) * envelope
	}
	return area
}
