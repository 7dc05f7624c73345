package optimize

import (
	"context"
	"log/slog"
	"math"
	"os"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/optimize/graph"
)

// witness holds networks against what the original finds on some pictures, on the
// engine that they are made for. It is used by one goroutine.
type witness struct {
	ctx      context.Context
	cfg      LookerConfig
	least    float64 // score from which boxes count
	frames   []*decode.Frame
	log      *slog.Logger
	original [][]detect.Detection
}

// newWitness lets the original look at the frames, at a size of its input.
func newWitness(ctx context.Context, c Config, input string, frames []*decode.Frame, log *slog.Logger) (*witness, error) {
	const faint = 0.05 // from here on scores tell how near boxes are to come or go
	w := &witness{ctx: ctx, least: c.Least, frames: frames, log: log}
	w.cfg = LookerConfig{Engine: c.Engines[0], Input: input, Classes: c.Classes, LibDirs: c.LibDirs, Least: min(faint, c.Least/2)}
	var err error
	w.original, err = w.see(c.Model, frames)
	return w, err
}

// see is what the network in a file finds.
func (w *witness) see(path string, frames []*decode.Frame) ([][]detect.Detection, error) {
	cfg := w.cfg
	cfg.Model = path
	l, err := NewLooker(cfg, frames[0], w.log)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	found := make([][]detect.Detection, len(frames))
	for i, f := range frames {
		if err := w.ctx.Err(); err != nil {
			return nil, err
		}
		if found[i], _, err = l.Look(f); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ask is what a network finds.
func (w *witness) ask(m *graph.Model, frames []*decode.Frame) ([][]detect.Detection, error) {
	path, err := temporary(m.Write())
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	return w.see(path, frames)
}

// agrees tells how alike a network and the original see.
func (w *witness) agrees(m *graph.Model) (Agreement, error) {
	found, err := w.ask(m, w.frames)
	return expected(w.original, found, w.least), err
}

// expected is the agreement that pictures like these would have in the mean. Which
// boxes come and go is up to those few whose scores are near least: here each counts by
// how likely it is to be on the other side, by how much the scores around there change.
// The boxes begin far below least.
func expected(original, made [][]detect.Detection, least float64) Agreement {
	var pairs [][2]float64
	var lone [2]float64 // of boxes that only one of the two has
	for i, was := range original {
		taken := make([]bool, len(made[i]))
		for _, d := range was {
			if k := partner(d, made[i], taken); k >= 0 {
				taken[k] = true
				pairs = append(pairs, [2]float64{d.Score, made[i][k].Score})
			} else if d.Score >= least {
				lone[0]++
			}
		}
		for k, d := range made[i] {
			if !taken[k] && d.Score >= least {
				lone[1]++
			}
		}
	}
	mean, spread := changes(pairs, least)
	boxes, missing, extra := lone[0], lone[0], lone[1]
	for _, p := range pairs {
		above := math.Erfc((least-p[0]-mean)/spread/math.Sqrt2) / 2
		if p[0] >= least {
			boxes++
			missing += 1 - above
		} else {
			extra += above
		}
	}
	a := Agreement{Recall: 1, Precision: 1, Boxes: int(boxes)}
	if boxes > 0 {
		a.Recall = 1 - missing/boxes
	}
	if found := boxes - missing + extra; found > 0 {
		a.Precision = 1 - extra/found
	}
	return a
}

// changes are the mean and the deviation of how much scores near least change, those
// farther away counting less.
func changes(pairs [][2]float64, least float64) (mean, spread float64) {
	sum, square, weights := 0.0, 0.0, 1e-12
	for _, p := range pairs {
		w, by := near(p[0], least), p[1]-p[0]
		sum, square, weights = sum+w*by, square+w*by*by, weights+w
	}
	mean = sum / weights
	return mean, math.Sqrt(max(square/weights-mean*mean, 0)) + 1e-9
}

// near is how much a score counts where it is decided which boxes there are.
func near(score, least float64) float64 {
	const reach = 0.1
	return 1 / (1 + (score-least)*(score-least)/(reach*reach))
}

// from are the boxes of about a score on.
func from(boxes []detect.Detection, least float64) (out []detect.Detection) {
	for _, d := range boxes {
		if d.Score >= least-Tolerance {
			out = append(out, d)
		}
	}
	return out
}
