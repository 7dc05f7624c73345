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
	model    string // the original
	cfg      LookerConfig
	least    float64 // score from which boxes count
	frames   []*decode.Frame
	log      *slog.Logger
	original [][]detect.Detection
	scores   []float64 // of the original, on other pictures: how many boxes are about to come or go
}

// newWitness lets the original look at the frames, at a size of its input.
func newWitness(ctx context.Context, c Config, input string, frames []*decode.Frame, log *slog.Logger) (*witness, error) {
	const faint = 0.05 // from here on scores tell how near boxes are to come or go
	w := &witness{ctx: ctx, model: c.Model, least: c.Least, frames: frames, log: log}
	w.cfg = LookerConfig{Engine: c.Engines[0], Input: input, Classes: c.Classes, LibDirs: c.LibDirs, Least: min(faint, c.Least/2)}
	var err error
	w.original, err = w.see(c.Model, frames)
	return w, err
}

// learn takes in how sure the original is on more pictures.
func (w *witness) learn(frames []*decode.Frame) error {
	found, err := w.see(w.model, frames)
	for _, boxes := range found {
		for _, d := range boxes {
			w.scores = append(w.scores, d.Score)
		}
	}
	return err
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
	return expected(w.original, found, w.scores, w.least), err
}

// expected is the agreement that pictures like these would have in the mean. Which
// boxes come and go is up to those few whose scores are near least: here each counts by
// how likely it is to be on the other side, by how much the scores around there change.
// The boxes begin far below least; scores are of further boxes of the original, for
// more of those few.
func expected(original, made [][]detect.Detection, scores []float64, least float64) Agreement {
	var pairs [][2]float64
	boxes, missing, extra := 0.0, 0.0, 0.0 // those that only one of the two has, so far
	for i, was := range original {
		taken := make([]bool, len(made[i]))
		for _, d := range was {
			if d.Score >= least {
				boxes++
			}
			if k := partner(d, made[i], taken); k >= 0 {
				taken[k] = true
				pairs = append(pairs, [2]float64{d.Score, made[i][k].Score})
			} else if d.Score >= least {
				missing++
			}
		}
		for k, d := range made[i] {
			if !taken[k] && d.Score >= least {
				extra++
			}
		}
	}
	mean, spread := changes(pairs, least)
	all, down, up := 0.0, 0.0, 0.0
	cross := func(score float64) {
		above := math.Erfc((least-score-mean)/spread/math.Sqrt2) / 2
		if score < least {
			up += above
			return
		}
		all++
		down += 1 - above
	}
	for _, p := range pairs {
		cross(p[0])
	}
	for _, s := range scores {
		cross(s)
	}
	a := Agreement{Recall: 1, Precision: 1, Boxes: int(boxes)}
	if boxes == 0 || all == 0 {
		return a
	}
	a.Recall = max(0, 1-missing/boxes-down/all)
	a.Precision = a.Recall / max(1e-9, a.Recall+extra/boxes+up/all)
	return a
}

// changes are the mean and the deviation of how much scores near least change, those
// farther away counting less. The deviation is that of a bell with the same mean
// distance, which a few that change much do not make wide.
func changes(pairs [][2]float64, least float64) (mean, spread float64) {
	sum, weights := 0.0, 1e-12
	for _, p := range pairs {
		w := near(p[0], least)
		sum, weights = sum+w*(p[1]-p[0]), weights+w
	}
	mean = sum / weights
	for _, p := range pairs {
		spread += near(p[0], least) / weights * math.Abs(p[1]-p[0]-mean)
	}
	return mean, spread*math.Sqrt(math.Pi/2) + 1e-9
}

// near is how much a score counts where it is decided which boxes there are.
func near(score, least float64) float64 {
	const reach = 0.2
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
