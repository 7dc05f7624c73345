package optimize

import "sightline/detect"

// Match is how alike two networks see one picture.
type Match struct {
	Boxes int // of the original
	Found int // of those, found again by the optimized one
	Extra int // of the optimized one, which the original does not have
}

// Compare pairs what the original finds in a picture with what the optimized one
// does, by the rules that an optimized network is accepted by: boxes count from least
// on, and those within Tolerance of it only where they have a partner. Both lists
// should go on below least by as much as scores may differ.
func Compare(original, optimized []detect.Detection, least float64) (m Match) {
	taken := make([]bool, len(optimized))
	for _, d := range original {
		k := partner(d, optimized, taken)
		if k < 0 {
			if d.Score >= least+Tolerance {
				m.Boxes++
			}
			continue
		}
		taken[k] = true
		if d.Score >= least || optimized[k].Score >= least {
			m.Boxes++
			m.Found++
		}
	}
	for k, d := range optimized {
		if !taken[k] && d.Score >= least+Tolerance {
			m.Extra++
		}
	}
	return m
}
