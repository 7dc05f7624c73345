package optimize

import (
	"fmt"

	"sightline/detect/optimize/prune"
)

// Bounds of the time that pruning takes, in multiply-adds: so that what is refused
// does not depend on how fast a machine is.
const (
	mostEffort  = 1e15
	hourly      = 3e14 // of two cores with AVX-512, roughly
	eachNode    = 1e5  // that an operator takes as long as, at least
	candidates  = 8    // that are fitted until one is the smallest that agrees
	lessThanAll = 2    // networks end where nothing more is asked for: half of them on average
)

// effort is about how many multiply-adds it takes to measure all groups and to find
// the smallest network.
func (s *specialist) effort() (sum float64) {
	run := float64(s.net.MACs(nil)) + eachNode*float64(len(s.net.Graph.Nodes))
	learned, fitted := float64(len(s.known)), float64(candidates)
	if s.gentle {
		fitted = lightTries
	}
	used := map[string]bool{}
	gone := prune.Set{}
	for _, g := range s.net.Groups {
		sum += float64(len(s.marksOf(g))) * min(mostTried, learned/4) * run
		for _, class := range g.Classes {
			gone[class] = true
		}
		for _, c := range s.net.Consumers(g) {
			k := float64(c.Columns() + 1)
			if !used[c.Name] {
				used[c.Name] = true
				sum += (1 + fitted) * (k*k*k + learned*k*k*float64(c.Places(s.sampling(positions))))
			}
			rows := min(k, float64(len(g.Classes)*c.Taps()))
			sum += rows * rows * k
		}
	}
	return sum + fitted*float64(len(s.net.Waves(gone)))*learned*2*run/lessThanAll
}

// affordable refuses what would take hours.
func (s *specialist) affordable() error {
	if most := s.effort(); most > mostEffort {
		return fmt.Errorf("this network is too large to be pruned: it would take about %.0f hours on two cores", most/hourly)
	}
	return nil
}
