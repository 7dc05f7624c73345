package onnx

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Element types of ONNX tensors that matter here (TensorProto.DataType).
const (
	elemFloat32 = 1
	elemUint8   = 2
	elemFloat16 = 10
)

// port is a graph input or output. A dimension of 0 is not fixed; dims is nil
// where the file does not state a shape.
type port struct {
	name string
	elem int
	dims []int
}

// graph is the part of an ONNX file that says what a network takes and gives.
type graph struct {
	producer        string
	metadata        map[string]string
	inputs, outputs []port
	ops             map[string]int // how many nodes of each operator
	external        bool           // weights lie in other files
}

// parseGraph reads a serialized ModelProto. Weights are passed over.
func parseGraph(data []byte) (*graph, error) {
	g := &graph{metadata: map[string]string{}, ops: map[string]int{}}
	version, found := uint64(0), false
	err := fields(data, func(n protowire.Number, number uint64, body []byte) error {
		switch n {
		case 1:
			version = number
		case 2:
			g.producer = string(body)
		case 7:
			found = true
			return g.parseBody(body)
		case 14:
			key, value, err := parseEntry(body)
			g.metadata[key] = value
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case version == 0 || !found:
		return nil, errors.New("it has no ONNX graph")
	case len(g.outputs) == 0:
		return nil, errors.New("its graph has no outputs")
	}
	return g, nil
}

func (g *graph) parseBody(data []byte) error {
	weights := map[string]bool{}
	err := fields(data, func(n protowire.Number, _ uint64, body []byte) error {
		switch n {
		case 1:
			return g.parseNode(body)
		case 5:
			return g.parseWeights(body, weights)
		case 11, 12:
			p, err := parsePort(body)
			if n == 11 {
				g.inputs = append(g.inputs, p)
			} else {
				g.outputs = append(g.outputs, p)
			}
			return err
		}
		return nil
	})
	var inputs []port // old files list the weights among the inputs
	for _, p := range g.inputs {
		if !weights[p.name] {
			inputs = append(inputs, p)
		}
	}
	g.inputs = inputs
	return err
}

func (g *graph) parseNode(data []byte) error {
	return fields(data, func(n protowire.Number, _ uint64, body []byte) error {
		if n == 4 {
			g.ops[string(body)]++
		}
		return nil
	})
}

func (g *graph) parseWeights(data []byte, names map[string]bool) error {
	return fields(data, func(n protowire.Number, number uint64, body []byte) error {
		switch n {
		case 8:
			names[string(body)] = true
		case 14:
			g.external = g.external || number == 1
		}
		return nil
	})
}

func parsePort(data []byte) (port, error) {
	var p port
	err := fields(data, func(n protowire.Number, _ uint64, body []byte) error {
		switch n {
		case 1:
			p.name = string(body)
		case 2: // TypeProto, whose field 1 is a tensor's type
			return fields(body, func(n protowire.Number, _ uint64, tensor []byte) error {
				if n != 1 {
					return nil
				}
				return p.parseTensor(tensor)
			})
		}
		return nil
	})
	return p, err
}

func (p *port) parseTensor(data []byte) error {
	return fields(data, func(n protowire.Number, number uint64, body []byte) error {
		switch n {
		case 1:
			p.elem = int(min(number, math.MaxInt32))
		case 2:
			return fields(body, func(n protowire.Number, _ uint64, dim []byte) error {
				if n != 1 {
					return nil
				}
				size := 0
				err := fields(dim, func(n protowire.Number, number uint64, _ []byte) error {
					if n == 1 && number <= math.MaxInt32 {
						size = int(number)
					}
					return nil
				})
				p.dims = append(p.dims, size)
				return err
			})
		}
		return nil
	})
}

func parseEntry(data []byte) (key, value string, err error) {
	err = fields(data, func(n protowire.Number, _ uint64, body []byte) error {
		switch n {
		case 1:
			key = string(body)
		case 2:
			value = string(body)
		}
		return nil
	})
	return key, value, err
}

// fields calls visit for every field of a protobuf message, with the number of
// a varint or the bytes of a string or sub-message; other kinds are passed over.
func fields(data []byte, visit func(n protowire.Number, number uint64, body []byte) error) error {
	size := len(data)
	for len(data) > 0 {
		n, kind, used := protowire.ConsumeTag(data)
		if used < 0 {
			return fmt.Errorf("damaged %d bytes before a message's end: %w", len(data), protowire.ParseError(used))
		}
		data = data[used:]
		var number uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			number, used = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			body, used = protowire.ConsumeBytes(data)
		default:
			used = protowire.ConsumeFieldValue(n, kind, data)
		}
		if used < 0 {
			return fmt.Errorf("cut short or damaged at byte %d of a message of %d: %w", size-len(data), size, protowire.ParseError(used))
		}
		if err := visit(n, number, body); err != nil {
			return err
		}
		data = data[used:]
	}
	return nil
}
