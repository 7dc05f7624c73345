package eval

import (
	"math"

	"sightline/detect"
)

// epsilon is TrackEval's: the spacing of floats at 1.
const epsilon = 0x1p-52

// clear measures precision, recall and CLEAR MOT (Bernardin and Stiefelhagen,
// 2008): a match of the frame before is kept where it still holds.
func (s *samples) clear(r *Result) {
	last, before := make([]int, s.truthTracks), make([]int, s.truthTracks)
	for i := range last {
		last[i], before[i] = -1, -1
	}
	hits, sum := 0, 0.0
	for _, f := range s.frames {
		if len(f.truth) == 0 {
			continue
		}
		gain := matrix(len(f.truth), len(f.found))
		for i, g := range f.truth {
			for j, d := range f.found {
				if f.iou[i][j] < overlap-epsilon {
					continue
				}
				gain[i][j] = f.iou[i][j]
				if before[g] == d {
					gain[i][j] += 1000
				}
			}
		}
		for i := range before {
			before[i] = -1
		}
		for i, j := range detect.Assign(gain) {
			if j < 0 {
				continue
			}
			g, d := f.truth[i], f.found[j]
			if last[g] >= 0 && last[g] != d {
				r.Switches++
			}
			last[g], before[g] = d, d
			hits++
			sum += f.iou[i][j]
		}
	}
	wrong := s.boxes - hits
	r.Precision = float64(hits) / float64(max(1, s.boxes))
	r.Recall = float64(hits) / float64(max(1, s.truthBoxes))
	r.MOTA = float64(hits-wrong-r.Switches) / float64(max(1, s.truthBoxes))
	r.MOTP = sum / float64(max(1, hits))
}

// idf1 is the identification F-score (Ristani et al., 2016): every true track is
// paired with at most one found track so that most boxes agree.
func (s *samples) idf1() float64 {
	if s.truthTracks == 0 || s.tracks == 0 {
		return 0
	}
	agree := matrix(s.truthTracks, s.tracks)
	for _, f := range s.frames {
		for i, g := range f.truth {
			for j, d := range f.found {
				if f.iou[i][j] >= overlap {
					agree[g][d]++
				}
			}
		}
	}
	hits := 0.0
	for g, d := range detect.Assign(agree) {
		if d >= 0 {
			hits += agree[g][d]
		}
	}
	return 2 * hits / float64(s.truthBoxes+s.boxes)
}

// hotaLevels is how many thresholds of IoU HOTA averages over: 0.05 to 0.95.
const hotaLevels = 19

// agreement is how often a true and a found track were matched at each level.
type agreement struct {
	boxes int // of both tracks
	hits  [hotaLevels]float64
}

// hota measures higher order tracking accuracy (Luiten et al., IJCV 2021).
func (s *samples) hota(r *Result) {
	align := s.alignment()
	var hits [hotaLevels]float64
	pairs := map[[2]int]int{} // to its index in agree, in order of appearance
	var agree []agreement
	for _, f := range s.frames {
		gain := matrix(len(f.truth), len(f.found))
		for i, g := range f.truth {
			for j, d := range f.found {
				gain[i][j] = align[g][d] * f.iou[i][j]
			}
		}
		for i, j := range detect.Assign(gain) {
			if j < 0 {
				continue
			}
			pair := [2]int{f.truth[i], f.found[j]}
			k, known := pairs[pair]
			if !known {
				k = len(agree)
				pairs[pair] = k
				agree = append(agree, agreement{boxes: s.truthLength[pair[0]] + s.foundCount[pair[1]]})
			}
			for a := range hotaLevels {
				if f.iou[i][j] >= 0.05*float64(a+1)-epsilon {
					hits[a]++
					agree[k].hits[a]++
				}
			}
		}
	}
	for a := range hotaLevels {
		ass := 0.0
		for _, p := range agree {
			n := p.hits[a]
			ass += n * n / max(1, float64(p.boxes)-n)
		}
		ass /= max(1, hits[a])
		det := hits[a] / max(1, float64(s.truthBoxes+s.boxes)-hits[a])
		r.HOTA += math.Sqrt(det*ass) / hotaLevels
		r.DetA += det / hotaLevels
		r.AssA += ass / hotaLevels
	}
}

// alignment is how well each true track and found track go together over the
// whole video.
func (s *samples) alignment() [][]float64 {
	potential := matrix(s.truthTracks, s.tracks)
	for _, f := range s.frames {
		rows, columns := make([]float64, len(f.truth)), make([]float64, len(f.found))
		for i := range f.truth {
			for j := range f.found {
				rows[i] += f.iou[i][j]
				columns[j] += f.iou[i][j]
			}
		}
		for i, g := range f.truth {
			for j, d := range f.found {
				if all := rows[i] + columns[j] - f.iou[i][j]; all > epsilon {
					potential[g][d] += f.iou[i][j] / all
				}
			}
		}
	}
	for g := range potential {
		for d := range potential[g] {
			potential[g][d] /= max(float64(s.truthLength[g]+s.foundCount[d])-potential[g][d], epsilon)
		}
	}
	return potential
}
