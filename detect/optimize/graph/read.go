package graph

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of what a hostile file can ask for: what changes a graph looks at all nodes
// for each, and an empty part of two bytes takes a hundred in memory. Networks have
// some hundreds to some thousands of nodes.
const (
	maxNodes = 20_000
	maxParts = 1000 // attributes of a node; inputs and outputs, operator sets and metadata of a file
)

// leastVersion is the version of the file format in which constants need not be
// listed as inputs too.
const leastVersion = 4

// Read takes an ONNX file apart. The model shares data's memory, which must not
// change. Its errors say what is wrong with the file; networks with parts that
// must not be changed blindly are refused: functions, weights in other files,
// sparse weights, graphs inside nodes.
func Read(data []byte) (*Model, error) {
	m := &Model{}
	seen := false
	err := each(data, func(f field) error {
		switch f.num {
		case 1:
			m.rest = number(m.rest, 1, max(leastVersion, int64(f.number)))
			return nil
		case 7:
			seen = true
			return m.readGraph(f.body)
		case 8:
			m.Opsets = append(m.Opsets, Opset{})
			return m.Opsets[len(m.Opsets)-1].read(f.body)
		case 14:
			m.Metadata = append(m.Metadata, Entry{})
			return m.Metadata[len(m.Metadata)-1].read(f.body)
		case 20, 25:
			return errors.New("it has training information or functions of its own, which are not supported: export it again, inlined")
		}
		m.rest = append(m.rest, f.whole...)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(m.Opsets) > maxParts || len(m.Metadata) > maxParts:
		return nil, fmt.Errorf("it has more than %d operator sets or entries of metadata", maxParts)
	case !seen:
		return nil, errors.New("it has no ONNX graph")
	}
	return m, m.Graph.check()
}

// Metadata reads a file's metadata alone. Its errors say what is wrong with the file.
func Metadata(data []byte) (entries []Entry, err error) {
	err = each(data, func(f field) error {
		if f.num != 14 {
			return nil
		}
		if len(entries) == maxParts {
			return fmt.Errorf("it has more than %d entries of metadata", maxParts)
		}
		entries = append(entries, Entry{})
		return entries[len(entries)-1].read(f.body)
	})
	return entries, err
}

func (o *Opset) read(b []byte) error {
	return each(b, func(f field) error {
		switch f.num {
		case 1:
			o.Domain = string(f.body)
		case 2:
			o.Version = int64(f.number)
		}
		return nil
	})
}

func (e *Entry) read(b []byte) error {
	return each(b, func(f field) error {
		switch f.num {
		case 1:
			e.Key = string(f.body)
		case 2:
			e.Value = string(f.body)
		}
		return nil
	})
}

func (m *Model) readGraph(b []byte) error {
	g := &Graph{Tensors: map[string]*Tensor{}}
	m.Graph = g
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			if len(g.Nodes) == maxNodes {
				return fmt.Errorf("it has more than %d nodes", maxNodes)
			}
			n := &Node{}
			g.Nodes = append(g.Nodes, n)
			return n.read(f.body)
		case 5:
			t, err := readTensor(f.body)
			switch {
			case err == nil && t.Name == "":
				err = errors.New("a constant has no name")
			case err == nil && g.Tensors[t.Name] != nil:
				err = fmt.Errorf("two constants are called %q", t.Name)
			}
			g.Tensors[t.Name] = t
			return err
		case 11, 12:
			if len(g.Inputs) == maxNodes+maxParts || len(g.Outputs) == maxParts { // old files list constants as inputs
				return fmt.Errorf("it has more than %d inputs or outputs", maxParts)
			}
			p, err := readPort(f.body)
			if f.num == 11 {
				g.Inputs = append(g.Inputs, p)
			} else {
				g.Outputs = append(g.Outputs, p)
			}
			return err
		case 13: // shapes inside, which changes would belie
			return nil
		case 15:
			return errors.New("it has sparse weights, which are not supported")
		}
		g.rest = append(g.rest, f.whole...)
		return nil
	})
	var inputs []Port
	for _, p := range g.Inputs {
		if g.Tensors[p.Name] == nil {
			inputs = append(inputs, p)
		}
	}
	g.Inputs = inputs
	return err
}

func (n *Node) read(b []byte) error {
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			n.Inputs = append(n.Inputs, string(f.body))
		case 2:
			n.Outputs = append(n.Outputs, string(f.body))
		case 3:
			n.Name = string(f.body)
		case 4:
			n.Op = string(f.body)
		case 5:
			if len(n.Attrs) == maxParts {
				return fmt.Errorf("it has more than %d attributes", maxParts)
			}
			a := &Attr{}
			n.Attrs = append(n.Attrs, a)
			return a.read(f.body)
		case 7:
			n.Domain = string(f.body)
		default:
			n.rest = append(n.rest, f.whole...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("node %q (%s): %w", n.Name, n.Op, err)
	}
	return nil
}

func (a *Attr) read(b []byte) error {
	err := each(b, func(f field) (err error) {
		switch f.num {
		case 1:
			a.Name = string(f.body)
		case 2:
			a.F = math.Float32frombits(uint32(f.number))
		case 3:
			a.I = int64(f.number)
		case 4:
			a.S = f.body
		case 5:
			a.T, err = readTensor(f.body)
		case 7:
			err = f.fixed32s(func(v uint32) { a.Fs = append(a.Fs, math.Float32frombits(v)) })
		case 8:
			err = f.varints(func(v uint64) { a.Is = append(a.Is, int64(v)) })
		case 20:
			a.Type = AttrType(f.number)
		case 6, 11:
			err = fmt.Errorf("attribute %q is a graph: loops and branches are not supported", a.Name)
		default:
			a.rest = append(a.rest, f.whole...)
		}
		return err
	})
	if err == nil && (a.Type == 0 || a.Type == Const && a.T == nil) {
		err = fmt.Errorf("attribute %q does not say what it is", a.Name)
	}
	return err
}

func readPort(b []byte) (Port, error) {
	var p Port
	err := each(b, func(f field) error {
		switch f.num {
		case 1:
			p.Name = string(f.body)
		case 2:
			known, err := p.readType(f.body)
			if !known {
				p.rest = append(p.rest, f.whole...)
			}
			return err
		}
		return nil
	})
	return p, err
}

// readType takes a dense tensor's type; known tells whether it was one.
func (p *Port) readType(b []byte) (known bool, err error) {
	err = each(b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		return each(f.body, func(f field) error {
			switch f.num {
			case 1:
				p.Type = Type(f.number)
			case 2:
				known = true
				return each(f.body, func(f field) error {
					d, err := readDim(f.body)
					p.Dims = append(p.Dims, d)
					return err
				})
			}
			return nil
		})
	})
	return known, err
}

func readDim(b []byte) (d Dim, err error) {
	err = each(b, func(f field) error {
		switch f.num {
		case 1:
			d.Size = max(0, int64(f.number))
		case 2:
			d.Name = string(f.body)
		}
		return nil
	})
	return d, err
}

// field is one field of a protobuf message.
type field struct {
	num    protowire.Number
	kind   protowire.Type
	number uint64 // of a varint or fixed field
	body   []byte // of a string, bytes or message
	whole  []byte // with its tag
}

// each calls visit for every field of a message.
func each(data []byte, visit func(field) error) error {
	size := len(data)
	for len(data) > 0 {
		var f field
		var n int
		f.num, f.kind, n = protowire.ConsumeTag(data)
		used := n
		if n > 0 {
			switch value := data[n:]; f.kind {
			case protowire.VarintType:
				f.number, n = protowire.ConsumeVarint(value)
			case protowire.Fixed32Type:
				var v uint32
				v, n = protowire.ConsumeFixed32(value)
				f.number = uint64(v)
			case protowire.Fixed64Type:
				f.number, n = protowire.ConsumeFixed64(value)
			case protowire.BytesType:
				f.body, n = protowire.ConsumeBytes(value)
			default:
				n = protowire.ConsumeFieldValue(f.num, f.kind, value)
			}
		}
		if n < 0 {
			return fmt.Errorf("cut short or damaged at byte %d of a message of %d: %w", size-len(data), size, protowire.ParseError(n))
		}
		used += n
		f.whole, data = data[:used:used], data[used:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// varints visits a repeated integer, packed or not.
func (f field) varints(visit func(uint64)) error {
	if f.kind == protowire.VarintType {
		visit(f.number)
		return nil
	}
	for b := f.body; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		visit(v)
		b = b[n:]
	}
	return nil
}

// fixed32s visits a repeated 32-bit number, packed or not.
func (f field) fixed32s(visit func(uint32)) error {
	if f.kind == protowire.Fixed32Type {
		visit(uint32(f.number))
		return nil
	}
	for b := f.body; len(b) > 0; {
		v, n := protowire.ConsumeFixed32(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		visit(v)
		b = b[n:]
	}
	return nil
}
