package graph

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"

	"sightline/internal/testkit"
)

// small is a network with one of everything.
func small() *Model {
	relu := &Node{Op: "LeakyRelu", Inputs: []string{"y"}, Outputs: []string{"z"}, Attrs: []*Attr{
		{Name: "alpha", Type: Float, F: .1}, {Name: "n", Type: Int, I: -3}, {Name: "s", Type: String, S: []byte("same")},
		{Name: "fs", Type: Floats, Fs: []float32{1, 2.5}}, {Name: "is", Type: Ints, Is: []int64{-1, 1 << 40}},
		{Name: "t", Type: Const, T: NewInt64("", 7)},
	}}
	return &Model{
		Opsets: []Opset{{Version: 17}, {"ai.onnx.ml", 3}}, Metadata: []Entry{{"names", `["a"]`}},
		Graph: &Graph{
			Nodes:   []*Node{{Name: "conv", Op: "Conv", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}, relu},
			Tensors: map[string]*Tensor{"w": NewFloat32("w", []int64{1, 1, 1, 2}, []float32{1, float32(math.Inf(1))})},
			Inputs:  []Port{{Name: "x", Type: F32, Dims: []Dim{{Name: "N"}, {Size: 1}, {}, {Size: 4}}}},
			Outputs: []Port{{Name: "z", Type: F32, Dims: []Dim{}}},
		},
	}
}

var everything = cmp.Options{cmp.AllowUnexported(Model{}, Graph{}, Node{}, Attr{}, Tensor{}, Port{}), cmpopts.EquateEmpty(), cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 0 }, cmp.Comparer(bytes.Equal))}

func TestWrittenIsReadBack(t *testing.T) {
	m := small()
	text := m.Write()
	back, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, back, everything); diff != "" {
		t.Errorf("read back otherwise (-written +read):\n%s", diff)
	}
	if !bytes.Equal(text, back.Write()) {
		t.Error("written again it has other bytes")
	}
}

// The default model, written by another program, loses nothing.
func TestRealModelSurvives(t *testing.T) {
	data, err := os.ReadFile(testkit.Dep(t, "models/coco-nano.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read(m.Write())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again, everything); diff != "" {
		t.Error(diff)
	}
	if n := len(m.Graph.Nodes); n != 105 || len(m.Graph.Tensors) != 83 || m.Meta("family") != "nanodet" {
		t.Errorf("%d nodes, %d constants, family %q", n, len(m.Graph.Tensors), m.Meta("family"))
	}
}

// Fields that mean nothing here stay as they were.
func TestUnknownFieldsStay(t *testing.T) {
	m := small()
	doc := message(nil, 6, []byte("about the model"))
	m.rest, m.Graph.rest, m.Graph.Nodes[0].rest = doc, message(nil, 10, []byte("about the graph")), message(nil, 6, []byte("about a node"))
	back, err := Read(m.Write())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, back, everything); diff != "" {
		t.Error(diff)
	}
}

// Weights may lie packed, unpacked, or raw.
func TestLayoutsOfWeights(t *testing.T) {
	head := text(number(number(nil, 1, 2), 2, int64(F32)), 8, "w")
	bits := func(v float32) []byte { return protowire.AppendFixed32(nil, math.Float32bits(v)) }
	packed := message(bytes.Clone(head), 4, append(bits(1), bits(-2)...))
	loose := bytes.Clone(head)
	for _, v := range []float32{1, -2} {
		loose = append(protowire.AppendTag(loose, 4, protowire.Fixed32Type), bits(v)...)
	}
	raw := message(bytes.Clone(head), 9, append(bits(1), bits(-2)...))
	for name, b := range map[string][]byte{"packed": packed, "loose": loose, "raw": raw} {
		got, err := readTensor(b)
		if err != nil || !cmp.Equal(got.Float32s(), []float32{1, -2}) {
			t.Errorf("%s: %v, %v", name, got.Float32s(), err)
		}
	}
	ints, err := readTensor(message(number(number(nil, 1, 2), 2, int64(I64)), 7, []byte{5, 6}))
	if err != nil || !cmp.Equal(ints.Int64s(), []int64{5, 6}) {
		t.Errorf("integers: %v, %v", ints.Int64s(), err)
	}
}

// Elements of types that mean nothing here stay, wherever the file has them.
func TestUnknownElementsStay(t *testing.T) {
	const bf16 = 16
	m := small()
	loose := message(text(number(number(nil, 1, 2), 2, bf16), 8, "b"), 5, []byte{1, 2})
	m.Graph.rest = message(nil, 5, loose)
	back, err := Read(m.Write())
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Graph.Tensors["b"].append(nil); !bytes.Contains(got, []byte{5<<3 | 2, 2, 1, 2}) {
		t.Errorf("% x became % x", loose, got)
	}
}

// Files of versions before 4 list constants as inputs too; what is written does not.
func TestOldFilesBecomeNewer(t *testing.T) {
	for was, want := range map[int64]int64{3: 4, 9: 9} {
		m := small()
		m.rest = number(nil, 1, was)
		m.Graph.Inputs = append(m.Graph.Inputs, Port{Name: "w", Type: F32})
		back, err := Read(m.Write())
		if err != nil || len(back.Graph.Inputs) != 1 || !bytes.Equal(back.rest, number(nil, 1, want)) {
			t.Errorf("version %d: %v, %d inputs, % x", was, err, len(back.Graph.Inputs), back.rest)
		}
	}
}

func TestRefused(t *testing.T) {
	for want, change := range map[string]func(m *Model) []byte{
		"has no ONNX graph":    func(*Model) []byte { return text(nil, 2, "producer") },
		"cut short or damaged": func(m *Model) []byte { b := m.Write(); return b[:len(b)-3] },
		"functions of its own": func(m *Model) []byte { return message(m.Write(), 25, nil) },
		"uses \"nothing\"":     func(m *Model) []byte { m.Graph.Nodes[0].Inputs[0] = "nothing"; return m.Write() },
		"nothing makes":        func(m *Model) []byte { m.Graph.Outputs[0].Name = "nothing"; return m.Write() },
		"is there already":     func(m *Model) []byte { m.Graph.Nodes[1].Outputs[0] = "y"; return m.Write() },
		"makes nothing":        func(m *Model) []byte { m.Graph.Nodes[1].Outputs = nil; return m.Write() },
		"weights lie in other": func(m *Model) []byte { m.Graph.Tensors["w"].rest = message(nil, 13, nil); return m.Write() },
		"bytes of data":        func(m *Model) []byte { m.Graph.Tensors["w"].Dims[0] = 9; return m.Write() },
		"are not possible":     func(m *Model) []byte { m.Graph.Tensors["w"].Dims[0] = math.MaxInt64; return m.Write() },
		"is a graph: loops": func(m *Model) []byte {
			m.Graph.Nodes[0].Attrs = []*Attr{{Name: "body", rest: message(nil, 6, nil)}}
			return m.Write()
		},
		"does not say what it is": func(m *Model) []byte {
			m.Graph.Nodes[0].Attrs = []*Attr{{Name: "value", Type: Const, T: NewInt64("", 7)}}
			return bytes.Replace(m.Write(), m.Graph.Nodes[0].Attrs[0].append(nil), bytes.Replace(m.Graph.Nodes[0].Attrs[0].append(nil), []byte("\x2a\x0e"), []byte("\x22\x0e"), 1), 1) // a string in place of the tensor
		},
		"a constant has no name": func(m *Model) []byte {
			m.Graph.rest = message(nil, 5, NewInt64("", 7).append(nil))
			return m.Write()
		},
		"an input has no name": func(m *Model) []byte { m.Graph.Inputs = append(m.Graph.Inputs, Port{}); return m.Write() },
		"more than 1000 attr": func(m *Model) []byte {
			m.Graph.Nodes[0].rest = bytes.Repeat(message(nil, 5, number(nil, 20, 2)), maxParts+1)
			return m.Write()
		},
		"more than 1000 inputs": func(m *Model) []byte {
			m.Graph.rest = bytes.Repeat(message(nil, 12, nil), maxParts+1)
			return m.Write()
		},
		"sparse weights": func(m *Model) []byte { m.Graph.rest = message(nil, 15, nil); return m.Write() },
		"two constants are": func(m *Model) []byte {
			m.Graph.rest = message(nil, 5, m.Graph.Tensors["w"].append(nil))
			return m.Write()
		},
		"has more than 20000 nod": func(m *Model) []byte {
			m.Graph.Nodes = make([]*Node, maxNodes+1)
			fill(m.Graph.Nodes)
			return m.Write()
		},
	} {
		if _, err := Read(change(small())); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func fill(nodes []*Node) {
	for i := range nodes {
		nodes[i] = &Node{}
	}
}

func TestSweep(t *testing.T) {
	g := small().Graph
	g.Nodes = append(g.Nodes, &Node{Op: "Neg", Inputs: []string{"y"}, Outputs: []string{"unused"}})
	g.Tensors["dead"] = NewInt64("dead", 1)
	if n := g.Sweep(); n != 1 || len(g.Nodes) != 2 || len(g.Tensors) != 1 {
		t.Errorf("%d removed, %d nodes and %d constants left", n, len(g.Nodes), len(g.Tensors))
	}
	if g.Fresh("w") != "w_2" || g.Fresh("new") != "new" {
		t.Errorf("fresh names %q and %q", g.Fresh("w"), g.Fresh("new"))
	}
}

// FuzzRead reads anything; what it takes is written and read as the same.
func FuzzRead(f *testing.F) {
	f.Add(small().Write())
	f.Add([]byte{0x3a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(b)
		if err != nil {
			return
		}
		once := m.Write()
		back, err := Read(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !bytes.Equal(once, back.Write()) {
			t.Error("written again it has other bytes")
		}
	})
}
