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
// least for each multiply-add that it saves, until nothing more may go; of what comes
// out of a convolution, as many as lanes take as long as one. The first
// step is the network as it is. Groups that nothing was measured of stay whole.
func (n *Net) Plan(measured []Measured, block, lanes int) []Step {
	now := Step{Counts: make([]int, len(n.Groups)), MACs: n.MACs(nil)}
	steps := []Step{now}
	p := planner{n, measured, block, lanes, n.touching(), Set{}}
	offers, beside := make([]offer, len(measured)), p.beside()
	for i := range offers {
		offers[i] = p.offer(i, 0)
	}
	for {
		at := -1
		for i, o := range offers {
			if o.saved > 0 && (at < 0 || o.rate() < offers[at].rate()) {
				at = i
			}
		}
		if at < 0 {
			return steps
		}
		o, counts := offers[at], slices.Clone(now.Counts)
		before := macs(p.convs[at], p.gone)
		n.take(p.gone, at, measured[at].Order[counts[at]:o.to], true)
		counts[at] = o.to
		now = Step{Counts: counts, MACs: now.MACs - before + macs(p.convs[at], p.gone), Loss: now.Loss + o.lost}
		steps = append(steps, now)
		for _, i := range beside[at] { // what others save has not changed
			offers[i] = p.offer(i, counts[i])
		}
	}
}

// planner knows what is gone by now.
type planner struct {
	n        *Net
	measured []Measured
	block    int
	lanes    int
	convs    [][]*Conv // that make or take a group's channels
	gone     Set
}

// time is what convolutions take without what is gone, in multiply-adds.
func (p *planner) time(convs []*Conv) (sum int64) {
	for _, c := range convs {
		outs := int64(len(kept(c.outs, p.gone))) / int64(c.parts)
		if full := (outs + int64(p.lanes) - 1) / int64(p.lanes) * int64(p.lanes); outs > 0 && !c.depthwise() {
			sum += c.macs(p.gone) / outs * full
		} else {
			sum += c.macs(p.gone)
		}
	}
	return sum
}

// offer is what it costs and saves to go on to so many channels of a group.
type offer struct {
	to    int
	lost  float64
	saved int64 // of time
}

func (o offer) rate() float64 {
	const least = 1e-6 // so that what costs nothing is taken by what it saves
	return (o.lost + least) / float64(o.saved)
}

// offer is the best of one to three blocks of a group of which so many are gone.
func (p *planner) offer(group, from int) (best offer) {
	m, convs := p.measured[group], p.convs[group]
	before := p.time(convs)
	for k := 1; k <= 3 && from+k*p.block <= m.most(); k++ {
		o := offer{to: from + k*p.block}
		p.n.take(p.gone, group, m.Order[from:o.to], true)
		o.saved = before - p.time(convs)
		p.n.take(p.gone, group, m.Order[from:o.to], false)
		o.lost = m.at(o.to) - m.at(from)
		if o.saved > 0 && (best.saved == 0 || o.rate() < best.rate()) {
			best = o
		}
	}
	return best
}

// beside are, for each group, those that share a convolution with it, and itself.
func (p *planner) beside() [][]int {
	of := map[*Conv][]int{}
	for i, convs := range p.convs {
		for _, c := range convs {
			of[c] = append(of[c], i)
		}
	}
	out := make([][]int, len(p.convs))
	for i, convs := range p.convs {
		for _, c := range convs {
			out[i] = append(out[i], of[c]...)
		}
		slices.Sort(out[i])
		out[i] = slices.Compact(out[i])
	}
	return out
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
