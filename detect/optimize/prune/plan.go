package prune

import "slices"

// Loss is what a group costs when so many of its channels go, as it was measured.
type Loss struct {
	Count int     `json:"count"`
	Loss  float64 `json:"loss"`
}

// Measured is what is known of one group.
type Measured struct {
	Order  []int  `json:"order"`  // in which its channels go
	Losses []Loss `json:"losses"` // with counts that grow
}

// Fits tells whether it can be of this group.
func (m Measured) Fits(g Group) bool {
	seen := map[int]bool{}
	for _, k := range m.Order {
		if k < 0 || k >= len(g.Classes) || seen[k] {
			return false
		}
		seen[k] = true
	}
	before := 0
	for _, l := range m.Losses {
		if l.Count <= before || l.Count > len(m.Order) || l.Count >= len(g.Classes) || !finite([]float64{l.Loss}) {
			return false
		}
		before = l.Count
	}
	return true
}

// at interpolates between what was measured; nothing is lost of nothing.
func (m Measured) at(count int) float64 {
	before := Loss{}
	for _, l := range m.Losses {
		if count <= l.Count {
			return before.Loss + (l.Loss-before.Loss)*float64(count-before.Count)/float64(max(1, l.Count-before.Count))
		}
		before = l
	}
	return before.Loss
}

// most is how many may go.
func (m Measured) most() int {
	if len(m.Losses) == 0 {
		return 0
	}
	return m.Losses[len(m.Losses)-1].Count
}

// Step is one step of a plan: by then, so many channels of each group are gone.
type Step struct {
	Counts []int
	MACs   int64 // that are left
	Loss   float64
}

// Plan takes block channels, or two or three times as many, of whichever group loses
// least for each multiply-add that it saves, until nothing more may go. The first
// step is the network as it is. Groups that nothing was measured of stay whole.
func (n *Net) Plan(measured []Measured, block int) []Step {
	counts := make([]int, len(n.Groups))
	now := Step{Counts: counts, MACs: n.MACs(nil)}
	steps := []Step{now}
	const least = 1e-6 // so that what costs nothing is taken by what it saves
	for {
		best, at, rate := Step{}, -1, 0.0
		for i, m := range measured {
			for _, times := range []int{1, 2, 3} {
				to := now.Counts[i] + times*block
				if to > m.most() {
					break
				}
				next := Step{Counts: slices.Clone(now.Counts)}
				next.Counts[i] = to
				next.MACs = n.MACs(n.Without(measured, next.Counts))
				lost := m.at(to) - m.at(now.Counts[i])
				next.Loss = now.Loss + lost
				if saved := now.MACs - next.MACs; saved > 0 && (at < 0 || (lost+least)/float64(saved) < rate) {
					best, at, rate = next, i, (lost+least)/float64(saved)
				}
			}
		}
		if at < 0 {
			return steps
		}
		now = best
		steps = append(steps, now)
	}
}

// Without are the classes that are gone when each group lost so many.
func (n *Net) Without(measured []Measured, counts []int) Set {
	s := Set{}
	for i, count := range counts {
		for _, k := range measured[i].Order[:min(count, len(measured[i].Order))] {
			s[n.Groups[i].Classes[k]] = true
		}
	}
	return s
}
