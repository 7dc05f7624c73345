package onnx

import (
	"errors"
	"fmt"
	"strings"

	"sightline/kernels"
)

// output is one output of a network and its shape for one picture, the batch
// dimension left out.
type output struct {
	name string
	dims []int
}

// size is how many values the output has for one picture.
func (o output) size() int {
	n := 1
	for _, d := range o.dims {
		n *= d
	}
	return n
}

// family knows how one kind of network says what it found. It holds no state
// and may be used by several goroutines.
type family interface {
	// outputs are the outputs that decode reads, for an input of shape.
	outputs(s Shape) []output
	// decode appends the boxes of one picture that score at least threshold, in
	// pixels of the input. values holds each output's, in the order of outputs.
	decode(values [][]float32, s Shape, wanted []bool, threshold float32, dst []kernels.Box) ([]kernels.Box, error)
	// anchors is how many boxes a picture can have at most.
	anchors(s Shape) int
	// launches are the kernels that do the same as decode for all rows of a batch on a
	// GPU. values are the outputs' addresses there, where row after row lies.
	launches(values []uint64, s Shape, to kernels.Candidates) []kernels.Launch
}

// hints are what the sidecar file and the metadata say about the output.
type hints struct {
	family     string
	classes    int  // length of the label list, 0 without one
	background bool // the list begins with that of no object
	strides    []int
	bins       int
	base       Shape
}

// kind is one entry of the table of families.
type kind struct {
	name    string
	outputs string // what it looks like, for errors
	// match returns the family when g's outputs are of this kind, and nil
	// otherwise; classes is how many it has.
	match func(g *graph, h hints) (f family, classes int)
	input inputDefaults
}

// inputDefaults is how a family's networks want pictures where neither the file
// nor a sidecar says so.
type inputDefaults struct {
	order     kernels.Order
	mean, std [3]float64
	pad       int
	fit       kernels.Fit
	size      int
}

// kinds is the table of families, in the order in which they are tried.
func kinds() []kind {
	unit := [3]float64{255, 255, 255}
	one := [3]float64{1, 1, 1}
	nano := inputDefaults{
		order: kernels.BGR, mean: [3]float64{103.53, 116.28, 123.675}, std: [3]float64{57.375, 57.12, 58.395},
		fit: kernels.LetterboxCenter, size: 416,
	}
	yolo := inputDefaults{order: kernels.RGB, std: unit, pad: 114, fit: kernels.LetterboxCenter, size: 640}
	stretched := inputDefaults{order: kernels.RGB, std: unit, fit: kernels.Stretch, size: 640}
	ssd := inputDefaults{order: kernels.RGB, mean: [3]float64{127, 127, 127}, std: [3]float64{128, 128, 128}, fit: kernels.Stretch, size: 300}
	return []kind{
		{"nanodet", "a pair cls8 [N, cells, classes] and reg8 [N, cells, 4×bins] for each stride, or one output [N, cells, classes + 4×bins]",
			matchNanoDet, nano},
		{"ssd", "a pair scores [N, priors, 1 + classes], the background first, and boxes [N, priors, 4], corners in 0..1", matchSSD, ssd},
		{"rtdetr", "[N, queries, 4 + classes], or a pair logits [N, queries, classes] and pred_boxes [N, queries, 4]", matchRTDETR, stretched},
		{"yolov8", "[N, 4 + classes, anchors] (YOLOv8, v9, v11)", matchYOLOv8, yolo},
		{"yolox", "[N, cells, 5 + classes], boxes relative to their cells",
			matchYOLOX, inputDefaults{order: kernels.BGR, std: one, pad: 114, fit: kernels.LetterboxTopLeft, size: 640}},
		{"yolov5", "[N, anchors, 5 + classes], boxes in pixels (YOLOv5, v7)", matchYOLOv5, yolo},
	}
}

// errFamily says that outputs are no family's.
var errFamily = errors.New("unsupported outputs")

// recognize finds the family of g: the one named in hints, or the first of the
// table that g's outputs fit.
func recognize(g *graph, h hints) (kind, family, int, error) {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
		if h.family != "" && h.family != k.name {
			continue
		}
		if f, classes := k.match(g, h); f != nil {
			return k, f, classes, nil
		}
		if h.family == k.name {
			return kind{}, nil, 0, fmt.Errorf("outputs %s are not those of family %s: %s", describe(g.outputs), k.name, k.outputs)
		}
	}
	if h.family != "" {
		return kind{}, nil, 0, fmt.Errorf("unknown family %q (known: %s)", h.family, strings.Join(names, ", "))
	}
	var known strings.Builder
	for _, k := range kinds() {
		fmt.Fprintf(&known, "; %s: %s", k.name, k.outputs)
	}
	return kind{}, nil, 0, fmt.Errorf("%w %s; supported are, in 32-bit floats%s", errFamily, describe(g.outputs), known.String())
}

// describe lists ports with their types and shapes.
func describe(ports []port) string {
	var all []string
	for i, p := range ports {
		if i == 8 {
			all = append(all, fmt.Sprintf("and %d more", len(ports)-i))
			break
		}
		var dims []string
		for _, d := range p.dims {
			if d == 0 {
				dims = append(dims, "?")
			} else {
				dims = append(dims, fmt.Sprint(d))
			}
		}
		all = append(all, fmt.Sprintf("%s %s[%s]", p.name, elemName(p.elem), strings.Join(dims, ", ")))
	}
	return strings.Join(all, ", ")
}

func elemName(elem int) string {
	switch elem {
	case elemFloat32:
		return "f32"
	case elemUint8:
		return "u8"
	case elemFloat16:
		return "f16"
	case 7:
		return "i64"
	}
	return fmt.Sprintf("type %d ", elem)
}

// cells is how many places a network of shape has over all strides.
func cells(s Shape, strides []int) int {
	n := 0
	for _, stride := range strides {
		n += steps(s.Width, stride) * steps(s.Height, stride)
	}
	return n
}

// steps is how many strides a side has, the last one perhaps not whole: what
// convolutions make of it.
func steps(side, stride int) int { return (side + stride - 1) / stride }
