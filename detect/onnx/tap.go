package onnx

import (
	"fmt"
	"slices"
	"unsafe"

	"sightline/decode"
	"sightline/internal/ort"
	"sightline/kernels"
)

// Value is one output of a network, in 32-bit floats.
type Value struct {
	Name string
	Dims []int64
}

// Tap runs a network of any outputs on ONNX Runtime, one picture at a time, for
// those who look at what it computes inside. It is used by one goroutine.
type Tap struct {
	lib     *ort.Library
	session *ort.Session
	binding *ort.Binding
	pre     *kernels.Preprocess
	memory  *block
	values  [][]float32
	turn    *float32 // see TurnInput
}

// TurnInput is an input, one 32-bit float, that a network may have besides the
// picture: how many pictures a Tap has computed before.
const TurnInput = "turn"

// maxTapped bounds the bytes that values take.
const maxTapped = 4 << 30

// NewTap opens a serialized network whose picture input is described by in, for
// pictures of shape. A value is asked for once, and is not the picture itself. Close
// frees it.
func NewTap(libDirs []string, model []byte, in Input, shape Shape, values []Value) (_ *Tap, err error) {
	t := &Tap{}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	path := findLibrary(onnxRuntime, libDirs)
	if t.lib, err = ort.Open(path); err != nil {
		return nil, missing(onnxRuntime, path, libDirs, err)
	}
	if t.session, err = t.lib.NewSession(model, 2); err != nil {
		return nil, err
	}
	if t.pre, err = kernels.NewPreprocess(in.slot(shape)); err != nil {
		return nil, err
	}
	const align = 64
	turn := (in.slot(shape).Size() + align - 1) / align * align
	end := turn + align
	sizes, starts := make([]int, len(values)), make([]int, len(values))
	for i, v := range values {
		if v.Name == in.Name || slices.ContainsFunc(values[:i], func(other Value) bool { return other.Name == v.Name }) {
			return nil, fmt.Errorf("%s is an input or asked for twice, and ONNX Runtime would leave it empty", v.Name)
		}
		sizes[i], starts[i] = 1, end
		for _, d := range v.Dims {
			if d < 1 || d > maxTapped/int64(sizes[i]) {
				return nil, fmt.Errorf("%s has the dimensions %v, which are not possible or too large", v.Name, v.Dims)
			}
			sizes[i] *= int(d)
		}
		if end += (sizes[i]*4 + align - 1) / align * align; end > maxTapped {
			return nil, fmt.Errorf("the values inside take more than %d GiB for a picture", maxTapped>>30)
		}
	}
	if t.memory, err = newBlock(end); err != nil {
		return nil, err
	}
	var outputs []ort.Tensor
	for i, v := range values {
		at := unsafe.Pointer(&t.memory.bytes[starts[i]])
		outputs = append(outputs, ort.Tensor{Name: v.Name, Type: ort.Float32, Dims: v.Dims, Data: at})
		t.values = append(t.values, unsafe.Slice((*float32)(at), sizes[i]))
	}
	inputs := []ort.Tensor{{Name: in.Name, Type: in.element(), Dims: in.dims(shape, 1), Data: unsafe.Pointer(&t.memory.bytes[0])}}
	t.turn = (*float32)(unsafe.Pointer(&t.memory.bytes[turn]))
	*t.turn = 0
	if slices.ContainsFunc(t.session.Inputs, func(p ort.Port) bool { return p.Name == TurnInput }) {
		inputs = append(inputs, ort.Tensor{Name: TurnInput, Type: ort.Float32, Dims: []int64{1}, Data: unsafe.Pointer(t.turn)})
	}
	t.binding, err = t.session.NewBinding(inputs, outputs)
	return t, err
}

// Look computes a picture. The values, in the order of NewTap, are valid until the
// next call.
func (t *Tap) Look(f *decode.Frame) ([][]float32, error) {
	if f.Memory != decode.Host {
		return nil, fmt.Errorf("look at a frame: it is not in host memory (kind %d)", f.Memory)
	}
	if _, err := t.pre.Run(unsafe.Pointer(&t.memory.bytes[0]), pictureOf(f)); err != nil {
		return nil, fmt.Errorf("look at a frame: %w", err)
	}
	err := t.binding.Run()
	*t.turn++
	return t.values, err
}

// Close frees everything. A second call does nothing.
func (t *Tap) Close() {
	if t.binding != nil {
		t.binding.Close()
	}
	if t.memory != nil {
		t.memory.free()
	}
	if t.pre != nil {
		t.pre.Close()
	}
	if t.session != nil {
		t.session.Close()
	}
	if t.lib != nil {
		t.lib.Close()
	}
}
