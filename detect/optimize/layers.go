package optimize

import (
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/quantize"
)

// LayerChange is one convolution of the original and what became of it: no channels
// are left of one that went.
type LayerChange struct {
	Name     string   `json:"name"`
	Channels [2]int   `json:"channels"`
	MACs     [2]int64 `json:"macs"`
	Integers bool     `json:"integers,omitempty"` // it computes in 8-bit integers
	now      string   // its name once it was simplified
}

// lineage remembers which convolution was called what, while a network is changed in
// place.
type lineage map[*graph.Node]string

func lineageOf(g *graph.Graph) lineage {
	l := lineage{}
	for _, n := range g.Nodes {
		if g.Conv(n) != nil {
			l[n] = n.Outputs[0]
		}
	}
	return l
}

// pair lists the original's convolutions with their names in the network that was
// made of it in place.
func (l lineage) pair(before []Layer, g *graph.Graph) []LayerChange {
	now := map[string]string{}
	for _, n := range g.Nodes {
		if was, ok := l[n]; ok {
			now[was] = n.Outputs[0]
		}
	}
	out := make([]LayerChange, len(before))
	for i, b := range before {
		out[i] = LayerChange{Name: b.Name, Channels: [2]int{b.Channels, 0}, MACs: [2]int64{b.MACs, 0}, now: now[b.Name]}
	}
	return out
}

// weigh tells what a network that was made of the simplified one weighs now, as a
// whole and layer by layer, paired by name. Where convolutions compute in integers
// their multiply-adds stay as they were told last.
func (r *Report) weigh(m *graph.Model, width, height int) {
	after := SizeOf(m, width, height)
	layers := map[string]Layer{}
	for _, l := range Layers(m, width, height) {
		layers[l.Name] = l
	}
	whole := quantize.Marked(m.Graph)
	if len(whole) > 0 {
		after.MACs = r.After.MACs
	}
	r.After = after
	for i := range r.Layers {
		l := &r.Layers[i]
		if l.Integers = whole[l.now]; l.Integers {
			continue
		}
		if now, there := layers[l.now]; !there || now.MACs > 0 || len(whole) == 0 { // behind integers sizes are not followed
			l.Channels[1], l.MACs[1] = now.Channels, now.MACs
		}
	}
}
