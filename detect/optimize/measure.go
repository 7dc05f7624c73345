package optimize

import "sightline/detect/optimize/graph"

// Size is what a network weighs.
type Size struct {
	Nodes      int   `json:"nodes"`
	Parameters int   `json:"parameters"`
	Bytes      int   `json:"bytes"`          // of the file
	MACs       int64 `json:"macs,omitempty"` // multiply-adds of the convolutions for one picture; 0: not known
}

// SizeOf weighs a network for an input of width × height.
func SizeOf(m *graph.Model, width, height int) Size {
	s := Size{Nodes: len(m.Graph.Nodes), Bytes: len(m.Write())}
	for _, t := range m.Graph.Tensors {
		if t.Type == graph.F32 || t.Type == graph.F16 || t.Type == graph.I8 {
			s.Parameters += t.Len()
		}
	}
	for _, l := range Layers(m, width, height) {
		if l.MACs == 0 {
			s.MACs = 0
			return s
		}
		s.MACs += l.MACs
	}
	return s
}

// Layer is one convolution.
type Layer struct {
	Name     string `json:"name"`
	Channels int    `json:"channels"`
	MACs     int64  `json:"macs,omitempty"`
}

// Layers are the convolutions of a network, in its order, for one picture of width ×
// height. MACs stay 0 where the size of a picture cannot be followed.
func Layers(m *graph.Model, width, height int) []Layer {
	g := m.Graph
	known := g.Shapes(width, height)
	var out []Layer
	for _, n := range g.Nodes {
		c := g.Conv(n)
		if c == nil {
			continue
		}
		l := Layer{Name: n.Outputs[0], Channels: c.Out}
		if dims := known[n.Outputs[0]]; len(dims) == 4 {
			l.MACs = dims[2] * dims[3] * int64(c.Weights.Len())
		}
		out = append(out, l)
	}
	return out
}
