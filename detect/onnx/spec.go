package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sightline/kernels"
)

// Spec is what is known of a model file without running it.
type Spec struct {
	Path      string
	Digest    string // of the file: SHA-256 in hex
	Family    string // nanodet, ssd, rtdetr, yolov5, yolov8, yolox
	Labels    []string
	Producer  string // the program that wrote the file
	Input     Input
	Quantized bool // computes in 8-bit integers where it is marked to

	family family
	proof  Proof
}

// Input says what pictures the network takes.
type Input struct {
	Name      string
	Base      Shape // the size it was made for
	Fixed     bool  // it takes no other size
	Step      int   // sides are multiples of it
	Chunk     int   // pictures it takes in one run: up to 2 where the file leaves their number open, else 1
	Layout    kernels.Layout
	Type      kernels.Type
	Order     kernels.Order
	Mean, Std [3]float64 // value = (sample − Mean) / Std; not for 8-bit inputs
	Pad       uint8
	Fit       kernels.Fit
}

// slot is the kernels' description of one row of a batch.
func (in Input) slot(s Shape) kernels.Slot {
	slot := kernels.Slot{
		Width: s.Width, Height: s.Height, Layout: in.Layout, Type: in.Type, Order: in.Order, Pad: in.Pad, Fit: in.Fit,
	}
	if in.Type != kernels.U8 {
		for i := range 3 {
			slot.Mean[i], slot.Scale[i] = float32(in.Mean[i]), float32(1/in.Std[i])
		}
	}
	return slot
}

// dims is the shape of the input tensor for rows pictures.
func (in Input) dims(s Shape, rows int) []int64 {
	if in.Layout == kernels.NHWC {
		return []int64{int64(rows), int64(s.Height), int64(s.Width), 3}
	}
	return []int64{int64(rows), 3, int64(s.Height), int64(s.Width)}
}

// ReadSpec reads the model file at path and its sidecar, and recognizes its
// family. Its errors say what was found and what is supported.
func ReadSpec(path string) (*Spec, error) { return readSpec(path, false) }

// ReadAny is ReadSpec for who does not decode: the outputs may be no family's, and then
// Family is empty and there are no Labels.
func ReadAny(path string) (*Spec, error) { return readSpec(path, true) }

func readSpec(path string, loose bool) (*Spec, error) {
	m, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	defer m.free()
	spec, err := describeModel(path, m.bytes, loose)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	return spec, nil
}

func describeModel(path string, data []byte, loose bool) (*Spec, error) {
	g, err := parseGraph(data)
	if err != nil {
		if kind := sniff(data); kind != "" {
			return nil, fmt.Errorf("not an ONNX file: %s", kind)
		}
		return nil, fmt.Errorf("not an ONNX file, or a damaged one: %w", err)
	}
	if g.external {
		return nil, errors.New("its weights lie in other files: save it with the weights inside (one file)")
	}
	side, err := readSidecar(path)
	if err != nil {
		return nil, err
	}
	if side == nil {
		side = &sidecar{}
	}
	sum := sha256.Sum256(data)
	spec := &Spec{
		Path: path, Digest: hex.EncodeToString(sum[:]), Producer: g.producer, proof: proof(g.metadata),
		Quantized: g.ops["DequantizeLinear"]+g.ops["QLinearConv"]+g.ops["ConvInteger"] > 0,
	}
	return spec, spec.fill(g, side, loose)
}

// fill takes each property from the sidecar, else the file's metadata, else the
// family's habits.
func (spec *Spec) fill(g *graph, side *sidecar, loose bool) (err error) {
	if spec.Labels, err = labelsOf(g, side); err != nil {
		return err
	}
	if err := spec.Input.shape(g, side); err != nil {
		return err
	}
	h := hints{family: side.Family, classes: len(spec.Labels), background: isBackground(spec.Labels), base: spec.Input.Base}
	if h.family == "" {
		h.family = g.metadata["family"]
	}
	_ = json.Unmarshal([]byte(g.metadata["strides"]), &h.strides) // a hint: absent or not JSON is none
	_ = json.Unmarshal([]byte(g.metadata["bins"]), &h.bins)
	if slices.ContainsFunc(h.strides, func(n int) bool { return n < 1 || n > 256 }) {
		return fmt.Errorf("unusable strides %v in its metadata", h.strides)
	}
	if h.base == (Shape{}) {
		if h.base, err = baseOf(g, side, h); err != nil {
			return err
		}
		spec.Input.Base = h.base
	}
	k, f, classes, err := recognize(g, h)
	if loose && errors.Is(err, errFamily) {
		spec.Labels = nil
		return spec.Input.colors(g, side, inputDefaults{order: kernels.RGB, std: [3]float64{255, 255, 255}, fit: kernels.LetterboxCenter})
	}
	if err != nil {
		return err
	}
	spec.Family, spec.family = k.name, f
	if one, is := f.(ssd); is {
		if err := one.settle(spec, side.Input.Size+g.metadata["size"]+g.metadata["imgsz"] != ""); err != nil {
			return err
		}
	}
	switch {
	case len(spec.Labels) == 0:
		return fmt.Errorf("its %d classes have no names: list them under labels: in %s (labels: coco for the 80 of COCO)", classes, SidecarName(spec.Path))
	case len(spec.Labels) != classes:
		return fmt.Errorf("%d labels for a network of %d classes", len(spec.Labels), classes)
	}
	return spec.Input.colors(g, side, k.input)
}

func labelsOf(g *graph, side *sidecar) ([]string, error) {
	if labels, err := side.labels(); err != nil || labels != nil {
		return labels, err
	}
	if names := g.metadata["names"]; names != "" {
		return parseNames(names)
	}
	return nil, nil
}

// shape reads the input's type, layout and, where it is fixed, size.
func (in *Input) shape(g *graph, side *sidecar) error {
	if len(g.inputs) != 1 {
		return fmt.Errorf("unsupported inputs %s; supported is one picture", describe(g.inputs))
	}
	p := g.inputs[0]
	in.Name, in.Type = p.name, map[int]kernels.Type{elemUint8: kernels.U8, elemFloat32: kernels.F32, elemFloat16: kernels.F16}[p.elem]
	switch {
	case in.Type == 0 || len(p.dims) != 4:
		return fmt.Errorf("unsupported input %s; supported is u8, f16 or f32 [N, 3, height, width] or [N, height, width, 3]", describe(g.inputs))
	case p.dims[1] == 3:
		in.Layout, in.Base = kernels.NCHW, Shape{p.dims[3], p.dims[2]}
	case p.dims[3] == 3:
		in.Layout, in.Base = kernels.NHWC, Shape{p.dims[2], p.dims[1]}
	default:
		return fmt.Errorf("input %s has no dimension of 3 color channels", describe(g.inputs))
	}
	switch p.dims[0] {
	case 0:
		in.Chunk = 2 // more costs memory and gains nothing on a CPU
	case 1:
		in.Chunk = 1
	default:
		return fmt.Errorf("input %s takes %d pictures at a time only: export it for 1 or for any number", describe(g.inputs), p.dims[0])
	}
	if in.Base.Width > maxSide || in.Base.Height > maxSide {
		return fmt.Errorf("input %s is larger than %d pixels", describe(g.inputs), maxSide)
	}
	in.Fixed = in.Base.Width > 0 && in.Base.Height > 0
	if !in.Fixed {
		in.Base = Shape{}
	}
	if in.Fixed && side.Input.Size != "" && side.Input.Size != in.Base.String() {
		return fmt.Errorf("input.size %s in its description, but the network takes %s only", side.Input.Size, in.Base)
	}
	return nil
}

// baseOf is the size that an input of open size was made for.
func baseOf(g *graph, side *sidecar, h hints) (Shape, error) {
	if side.Input.Size != "" {
		return ParseShape(side.Input.Size)
	}
	for _, key := range []string{"size", "imgsz"} { // height, width
		var sides []int
		if json.Unmarshal([]byte(g.metadata[key]), &sides) == nil && len(sides) == 2 && min(sides[0], sides[1]) > 0 {
			return ParseShape(Shape{sides[1], sides[0]}.String())
		}
	}
	for _, k := range kinds() {
		if k.name == h.family {
			return Shape{k.input.size, k.input.size}, nil
		}
	}
	return Shape{640, 640}, nil
}

// colors settles how samples become the network's values.
func (in *Input) colors(g *graph, side *sidecar, d inputDefaults) error {
	in.Order, in.Mean, in.Std, in.Pad, in.Fit, in.Step = d.order, d.mean, d.std, uint8(d.pad), d.fit, 32
	order := side.Input.Order
	if order == "" {
		order = g.metadata["color"]
	}
	switch strings.ToLower(order) {
	case "":
	case "bgr":
		in.Order = kernels.BGR
	case "rgb":
		in.Order = kernels.RGB
	default:
		return fmt.Errorf("input.order %q is neither bgr nor rgb", order)
	}
	fit := side.Input.Fit
	if fit == "" {
		fit = g.metadata["fit"]
	}
	switch fit {
	case "":
	case "center":
		in.Fit = kernels.LetterboxCenter
	case "topleft":
		in.Fit = kernels.LetterboxTopLeft
	case "stretch":
		in.Fit = kernels.Stretch
	default:
		return fmt.Errorf("input.fit %q is neither center nor topleft nor stretch", fit)
	}
	for _, v := range []struct {
		name string
		into *[3]float64
		side []float64
	}{{"mean", &in.Mean, side.Input.Mean}, {"std", &in.Std, side.Input.Std}} {
		values := v.side
		if values == nil {
			_ = json.Unmarshal([]byte(g.metadata[v.name]), &values) // absent or not JSON: the family's
		}
		if err := spread(v.name, values, v.into); err != nil {
			return err
		}
	}
	pad := side.Input.Pad
	if pad == nil {
		_ = json.Unmarshal([]byte(g.metadata["pad"]), &pad) // absent or not JSON: the family's
	}
	if pad != nil {
		if *pad < 0 || *pad > 255 {
			return fmt.Errorf("input.pad %d is not within 0 and 255", *pad)
		}
		in.Pad = uint8(*pad)
	}
	return nil
}

func spread(name string, values []float64, into *[3]float64) error {
	switch len(values) {
	case 0:
		return nil
	case 1:
		*into = [3]float64{values[0], values[0], values[0]}
	case 3:
		*into = [3]float64(values)
	default:
		return fmt.Errorf("input.%s has %d values, not one or three", name, len(values))
	}
	if name == "std" && (into[0] == 0 || into[1] == 0 || into[2] == 0) {
		return errors.New("input.std has a zero")
	}
	return nil
}
