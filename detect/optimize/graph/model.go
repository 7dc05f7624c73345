// Package graph reads, changes and writes networks in ONNX files. What it does not
// know it keeps as it was, so that a network that nothing was done to computes the
// same after it was written.
package graph

// Model is an ONNX file: a graph and what it needs.
type Model struct {
	Opsets   []Opset
	Metadata []Entry // in the file's order
	Graph    *Graph

	rest []byte // other fields, as they were
}

// Opset is a version of a set of operators; the standard one's domain is "".
type Opset struct {
	Domain  string
	Version int64
}

// Entry is one pair of a model's metadata.
type Entry struct{ Key, Value string }

// Graph is a network: nodes in an order in which they can be computed.
type Graph struct {
	Nodes   []*Node
	Tensors map[string]*Tensor // constants, by name
	Inputs  []Port             // constants that the file lists as inputs too are left out
	Outputs []Port

	rest []byte
}

// Node is one operation. An input named "" is absent.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attrs            []*Attr

	rest []byte
}

// Attr is a parameter of a node. Which of the values counts is up to Type.
type Attr struct {
	Name string
	Type AttrType
	F    float32
	I    int64
	S    []byte
	T    *Tensor
	Fs   []float32
	Is   []int64

	rest []byte // strings, and graphs inside
}

// AttrType is the kind of an attribute's value (AttributeProto.AttributeType).
type AttrType int32

// Kinds of attributes that are understood.
const (
	Float  AttrType = 1
	Int    AttrType = 2
	String AttrType = 3
	Const  AttrType = 4 // a tensor
	Floats AttrType = 6
	Ints   AttrType = 7
)

// Type is the type of a tensor's elements (TensorProto.DataType).
type Type int32

// Element types that are understood.
const (
	F32  Type = 1
	U8   Type = 2
	I8   Type = 3
	I32  Type = 6
	I64  Type = 7
	Bool Type = 9
	F16  Type = 10
	F64  Type = 11
)

// Tensor is a constant. Its data are little-endian, row by row.
type Tensor struct {
	Name string
	Type Type
	Dims []int64
	Data []byte

	rest []byte // of element types that are not understood
}

// Port is an input or output of a graph.
type Port struct {
	Name string
	Type Type
	Dims []Dim

	rest []byte // of a type that is no tensor of known rank
}

// Dim is one dimension: Size, or, where it is 0, open and perhaps named.
type Dim struct {
	Size int64
	Name string
}

// Fixed are dimensions that are known to be these.
func Fixed(dims []int64) []Dim {
	out := make([]Dim, len(dims))
	for i, d := range dims {
		out[i].Size = d
	}
	return out
}

// Attr returns the attribute of this name, nil where there is none.
func (n *Node) Attr(name string) *Attr {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Int is an integer attribute, or its default.
func (n *Node) Int(name string, absent int64) int64 {
	if a := n.Attr(name); a != nil && a.Type == Int {
		return a.I
	}
	return absent
}

// Float is a number attribute, or its default.
func (n *Node) Float(name string, absent float32) float32 {
	if a := n.Attr(name); a != nil && a.Type == Float {
		return a.F
	}
	return absent
}

// Ints is a list attribute, nil where there is none.
func (n *Node) Ints(name string) []int64 {
	if a := n.Attr(name); a != nil && a.Type == Ints {
		return a.Is
	}
	return nil
}

// Text is a string attribute, or its default.
func (n *Node) Text(name, absent string) string {
	if a := n.Attr(name); a != nil && a.Type == String {
		return string(a.S)
	}
	return absent
}

// Set gives the node an attribute in place of one of the same name.
func (n *Node) Set(a *Attr) {
	for i, old := range n.Attrs {
		if old.Name == a.Name {
			n.Attrs[i] = a
			return
		}
	}
	n.Attrs = append(n.Attrs, a)
}

// Input is the name of the i-th input, "" where it is absent.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Meta is the value of a metadata key, "" where there is none.
func (m *Model) Meta(key string) string {
	for _, e := range m.Metadata {
		if e.Key == key {
			return e.Value
		}
	}
	return ""
}

// Opset is the version of the standard operators, 0 where the file does not say.
func (m *Model) Opset() (version int64) {
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			version = o.Version
		}
	}
	return version
}

// SetMeta sets a metadata key.
func (m *Model) SetMeta(key, value string) {
	for i, e := range m.Metadata {
		if e.Key == key {
			m.Metadata[i].Value = value
			return
		}
	}
	m.Metadata = append(m.Metadata, Entry{key, value})
}
