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
	now := Step{Counts: make([]int, len(n.Groups)), MACs: n.MACs(nil)}
	steps := []Step{now}
	gone, convs := Set{}, n.touching()
	const least = 1e-6 // so that what costs nothing is taken by what it saves
	for {
		best, at, rate := Step{}, -1, 0.0
		for i, m := range measured {
			before := macs(convs[i], gone)
			from := now.Counts[i]
			for _, to := range []int{from + block, from + 2*block, from + 3*block} {
				if to > m.most() {
					break
				}
				n.take(gone, i, m.Order[from:to], true)
				saved := before - macs(convs[i], gone)
				n.take(gone, i, m.Order[from:to], false)
				lost := m.at(to) - m.at(from)
				if saved > 0 && (at < 0 || (lost+least)/float64(saved) < rate) {
					counts := slices.Clone(now.Counts)
					counts[i] = to
					best, at, rate = Step{Counts: counts, MACs: now.MACs - saved, Loss: now.Loss + lost}, i, (lost+least)/float64(saved)
				}
			}
		}
		if at < 0 {
			return steps
		}
		n.take(gone, at, measured[at].Order[now.Counts[at]:best.Counts[at]], true)
		now = best
		steps = append(steps, now)
	}
}

// take adds channels of a group to those that are gone, or gives them back.
func (n *Net) take(gone Set, group int, channels []int, add bool) {
	for _, k := range channels {
		if class := n.Groups[group].Classes[k]; add {
			gone[class] = true
		} else {
			delete(gone, class)
		}
	}
}

// touching are, for each group, the convolutions that make or take its channels.
func (n *Net) touching() [][]*Conv {
	convs := make([][]*Conv, len(n.Groups))
	of := map[int]int{} // class to group
	for i, g := range n.Groups {
		for _, class := range g.Classes {
			of[class] = i
		}
	}
	for _, c := range n.convs {
		seen := map[int]bool{}
		for _, class := range slices.Concat(c.ins, c.outs) {
			if i, is := of[class]; is && !seen[i] {
				seen[i] = true
				convs[i] = append(convs[i], c)
			}
		}
	}
	return convs
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
