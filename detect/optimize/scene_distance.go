package optimize

import (
	"math"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/optimize/exact"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// sure is the score from which boxes' places count, and not only their scores.
const sure = 0.25

// A gauge tells how far a network is from what it was made of, on some pictures.
type gauge interface {
	distance(m *graph.Model) (float64, error)
}

// newGauge looks at the outputs themselves where it is known what they mean, which
// shows small changes best, else at boxes.
func (s *specialist) newGauge(frames []*decode.Frame) (gauge, error) {
	labels, err := exact.Labels(s.m)
	if names, strides := heads(s.m); err == nil && len(names) > 0 && len(labels) > 0 {
		g := &mapGauge{s: s, frames: frames, strides: strides, classes: len(labels)}
		g.original, err = g.maps(s.m.Graph)
		return g, err
	}
	j, err := s.newJury(frames, plainEngine, "f32", 0.05)
	return boxGauge{j}, err
}

// boxGauge compares boxes.
type boxGauge struct{ *jury }

func (b boxGauge) distance(m *graph.Model) (float64, error) {
	found, err := b.ask(m, b.s.shape)
	return apart(b.original, found), err
}

// apart is how far two networks' boxes are from each other: by scores, and by places
// where the original is fairly sure.
func apart(original, pruned [][]detect.Detection) float64 {
	num, den, off, pairs := 0.0, 1e-9, 0.0, 0.0
	for i, was := range original {
		is := pruned[i]
		taken := make([]bool, len(is))
		for _, d := range was {
			den += d.Score * d.Score
			k := partner(d, is, taken)
			if k < 0 {
				num += d.Score * d.Score
				continue
			}
			taken[k] = true
			num += (d.Score - is[k].Score) * (d.Score - is[k].Score)
			if d.Score > sure {
				off += 1 - d.Box.IoU(is[k].Box)
				pairs++
			}
		}
		for k, d := range is {
			if !taken[k] {
				num += d.Score * d.Score
			}
		}
	}
	return num/den + off/max(1, pairs)
}

// mapGauge compares the planes of NanoDet's heads: all scores, and boxes where the
// original is fairly sure.
type mapGauge struct {
	s        *specialist
	frames   []*decode.Frame
	strides  []int
	classes  int
	original [][][]float32 // by picture and head
}

// maps are the heads of a network, by picture.
func (g *mapGauge) maps(from *graph.Graph) ([][][]float32, error) {
	known := from.Shapes(g.s.shape.Width, g.s.shape.Height)
	var taps []prune.Tap
	for _, p := range from.Outputs {
		taps = append(taps, prune.Tap{Name: p.Name, Dims: known[p.Name]})
	}
	var all [][][]float32
	err := g.s.look(from, taps, g.frames, func(_ int, seen [][]float32) {
		var copied [][]float32
		for _, v := range seen {
			copied = append(copied, append([]float32(nil), v...))
		}
		all = append(all, copied)
	})
	return all, err
}

func (g *mapGauge) distance(m *graph.Model) (float64, error) {
	now, err := g.maps(m.Graph)
	if err != nil {
		return 0, err
	}
	num, den, off, places := 0.0, 1e-9, 0.0, 0.0
	for i, was := range g.original {
		for k := range was {
			a, b := was[k], now[i][k]
			area := g.area(len(a), k)
			for at := range area {
				best := 0.0
				for c := range g.classes {
					p, q := sigmoid(a[c*area+at]), sigmoid(b[c*area+at])
					num, den, best = num+(p-q)*(p-q), den+p*p, max(best, p)
				}
				if best > sure {
					off += 1 - overlap(g.sides(a, area, at), g.sides(b, area, at))
					places++
				}
			}
		}
	}
	return num/den + off/max(1, places), nil
}

// area is how many places a head of so many numbers has.
func (g *mapGauge) area(numbers, head int) int {
	planes := int(g.s.m.Graph.Outputs[head].Dims[1].Size)
	return numbers / max(1, planes)
}

// sides are a place's distances to its box's sides, in strides: the means of
// distributions.
func (g *mapGauge) sides(v []float32, area, at int) (out [4]float64) {
	bins := (len(v)/area - g.classes) / 4
	for side := range out {
		sum, mean := 0.0, 0.0
		for b := range bins {
			e := math.Exp(float64(v[(g.classes+side*bins+b)*area+at]))
			sum, mean = sum+e, mean+e*float64(b)
		}
		out[side] = mean / sum
	}
	return out
}

// overlap is the intersection over the union of two boxes around one place.
func overlap(a, b [4]float64) float64 {
	size := func(v [4]float64) float64 { return (v[0] + v[2]) * (v[1] + v[3]) }
	var both [4]float64
	for i := range both {
		both[i] = min(a[i], b[i])
	}
	return size(both) / max(1e-9, size(a)+size(b)-size(both))
}

func sigmoid(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }
