package graph

import (
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Write puts the model together again. The same model always gives the same bytes.
func (m *Model) Write() []byte {
	out := slices.Clone(m.rest)
	out = message(out, 7, m.Graph.append(nil))
	for _, o := range m.Opsets {
		out = message(out, 8, number(text(nil, 1, o.Domain), 2, o.Version))
	}
	for _, e := range m.Metadata {
		out = message(out, 14, text(text(nil, 1, e.Key), 2, e.Value))
	}
	return out
}

func (g *Graph) append(out []byte) []byte {
	for _, n := range g.Nodes {
		out = message(out, 1, n.append(nil))
	}
	for _, name := range slices.Sorted(maps.Keys(g.Tensors)) {
		out = message(out, 5, g.Tensors[name].append(nil))
	}
	for _, p := range g.Inputs {
		out = message(out, 11, p.append(nil))
	}
	for _, p := range g.Outputs {
		out = message(out, 12, p.append(nil))
	}
	return append(out, g.rest...)
}

func (n *Node) append(out []byte) []byte {
	for _, s := range n.Inputs {
		out = message(out, 1, []byte(s))
	}
	for _, s := range n.Outputs {
		out = message(out, 2, []byte(s))
	}
	out = text(text(out, 3, n.Name), 4, n.Op)
	for _, a := range n.Attrs {
		out = message(out, 5, a.append(nil))
	}
	return append(text(out, 7, n.Domain), n.rest...)
}

func (a *Attr) append(out []byte) []byte {
	out = text(out, 1, a.Name)
	switch a.Type {
	case Float:
		out = protowire.AppendFixed32(protowire.AppendTag(out, 2, protowire.Fixed32Type), math.Float32bits(a.F))
	case Int:
		out = number(out, 3, a.I)
	case String:
		out = message(out, 4, a.S)
	case Const:
		out = message(out, 5, a.T.append(nil))
	case Floats:
		for _, v := range a.Fs {
			out = protowire.AppendFixed32(protowire.AppendTag(out, 7, protowire.Fixed32Type), math.Float32bits(v))
		}
	case Ints:
		for _, v := range a.Is {
			out = number(out, 8, v)
		}
	}
	return append(number(out, 20, int64(a.Type)), a.rest...)
}

func (t *Tensor) append(out []byte) []byte {
	for _, d := range t.Dims {
		out = number(out, 1, d)
	}
	out = text(number(out, 2, int64(t.Type)), 8, t.Name)
	if t.Type.size() > 0 {
		out = message(out, 9, t.Data)
	}
	return append(out, t.rest...)
}

func (p *Port) append(out []byte) []byte {
	out = text(out, 1, p.Name)
	if p.rest != nil {
		return append(out, p.rest...)
	}
	var shape []byte
	for _, d := range p.Dims {
		var dim []byte
		if d.Size > 0 {
			dim = number(dim, 1, d.Size)
		} else {
			dim = text(dim, 2, d.Name)
		}
		shape = message(shape, 1, dim)
	}
	return message(out, 2, message(nil, 1, message(number(nil, 1, int64(p.Type)), 2, shape)))
}

func message(out []byte, n protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, n, protowire.BytesType), body)
}

// text leaves an empty string out.
func text(out []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return out
	}
	return message(out, n, []byte(s))
}

func number(out []byte, n protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, n, protowire.VarintType), uint64(v))
}
