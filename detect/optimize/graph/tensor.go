package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// size is how many bytes an element takes, 0 where the type is not understood.
func (t Type) size() int64 {
	switch t {
	case U8, I8, Bool:
		return 1
	case F16:
		return 2
	case F32, I32:
		return 4
	case I64, F64:
		return 8
	}
	return 0
}

// Len is how many elements the tensor has.
func (t *Tensor) Len() int {
	n := int64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return int(n)
}

// Float32s are the elements of a tensor of 32-bit floats, nil of any other.
func (t *Tensor) Float32s() []float32 {
	if t == nil || t.Type != F32 {
		return nil
	}
	out := make([]float32, len(t.Data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out
}

// Int64s are the elements of a tensor of integers, nil of any other.
func (t *Tensor) Int64s() []int64 {
	if t == nil || t.Type != I64 && t.Type != I32 {
		return nil
	}
	size := int(t.Type.size())
	out := make([]int64, len(t.Data)/size)
	for i := range out {
		if t.Type == I32 {
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		} else {
			out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		}
	}
	return out
}

// NewFloat32 is a constant of 32-bit floats.
func NewFloat32(name string, dims []int64, values []float32) *Tensor {
	t := &Tensor{Name: name, Type: F32, Dims: dims, Data: make([]byte, 0, 4*len(values))}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}

// NewInt64 is a constant of one dimension.
func NewInt64(name string, values ...int64) *Tensor {
	t := &Tensor{Name: name, Type: I64, Dims: []int64{int64(len(values))}}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(v))
	}
	return t
}

// NewInt32 is a constant of 32-bit integers.
func NewInt32(name string, dims []int64, values []int32) *Tensor {
	t := &Tensor{Name: name, Type: I32, Dims: dims}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
	}
	return t
}

// readTensor brings every layout of the elements into one. Of element types that
// are not understood it keeps the data as they are.
func readTensor(b []byte) (*Tensor, error) {
	t := &Tensor{}
	err := each(b, func(f field) error {
		if f.num == 2 {
			t.Type = Type(f.number)
		}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("constant: %w", err)
	}
	var raw, typed []byte
	var kept []byte
	put := func(v uint64) {
		switch t.Type.size() {
		case 1:
			typed = append(typed, byte(v))
		case 2:
			typed = binary.LittleEndian.AppendUint16(typed, uint16(v))
		case 4:
			typed = binary.LittleEndian.AppendUint32(typed, uint32(v))
		case 8:
			typed = binary.LittleEndian.AppendUint64(typed, v)
		}
	}
	err = each(b, func(f field) error {
		if t.Type.size() == 0 && f.num >= 4 && f.num <= 10 && f.num != 8 {
			kept = append(kept, f.whole...)
			return nil
		}
		switch f.num {
		case 1:
			return f.varints(func(v uint64) { t.Dims = append(t.Dims, int64(v)) })
		case 4:
			return f.fixed32s(func(v uint32) { typed = binary.LittleEndian.AppendUint32(typed, v) })
		case 5, 7:
			return f.varints(put)
		case 8:
			t.Name = string(f.body)
		case 9:
			raw = f.body
		case 13:
			return errors.New("weights lie in other files: save it with the weights inside (one file)")
		case 10:
			typed = append(typed, f.body...)
		case 2, 12, 14: // the type; a comment; where the data lie
		default:
			kept = append(kept, f.whole...)
		}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("constant %q: %w", t.Name, err)
	}
	if t.Data = raw; raw == nil {
		t.Data = typed
	}
	return t, t.settle(kept)
}

// settle checks the amount of data, or keeps what is not understood as it was.
func (t *Tensor) settle(kept []byte) error {
	size := t.Type.size()
	if size == 0 {
		t.rest = kept
		return nil
	}
	n := size
	for _, d := range t.Dims {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return fmt.Errorf("constant %q: dimensions %v are not possible", t.Name, t.Dims)
		}
		n *= d
	}
	if int64(len(t.Data)) != n {
		return fmt.Errorf("constant %q: %d bytes of data for dimensions %v of type %d", t.Name, len(t.Data), t.Dims, t.Type)
	}
	return nil
}
