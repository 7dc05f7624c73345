package onnx

import "sightline/kernels"

// yolo is a network with one output of boxes over strides 8, 16 and 32.
type yolo struct {
	name    string // of the output
	classes int
	perCell int // anchors of one
	kind    yoloKind
}

type yoloKind int

const (
	v8 yoloKind = iota // [4 + classes, anchors], pixels
	v5                 // [anchors, 5 + classes], pixels, with objectness
	x                  // [cells, 5 + classes], relative to the cells, with objectness
)

func yoloStrides() []int { return []int{8, 16, 32} }

// single returns the only output, or the first one where the others are the raw
// heads that some exports leave in (their rank differs), if it has three dimensions.
func single(g *graph) (port, bool) {
	p := g.outputs[0]
	for _, other := range g.outputs[1:] {
		if len(other.dims) == 3 {
			return port{}, false
		}
	}
	return p, p.elem == elemFloat32 && len(p.dims) == 3
}

// matchYOLOv8: the second dimension holds 4 and the classes, and is the small one.
func matchYOLOv8(g *graph, h hints) (family, int) {
	p, ok := single(g)
	if !ok || p.dims[1] < 5 || (p.dims[2] != 0 && p.dims[1] >= p.dims[2]) {
		return nil, 0
	}
	if p.dims[2] == 0 && p.dims[1] != 4+h.classes && h.family == "" {
		return nil, 0
	}
	return yolo{name: p.name, classes: p.dims[1] - 4, perCell: 1, kind: v8}, p.dims[1] - 4
}

// matchYOLOX: one box a cell and nothing in the graph that decodes it. A graph
// that takes exponentials decodes sizes itself, one that carries Ultralytics'
// metadata (names and stride) is YOLOv5; both give pixels.
func matchYOLOX(g *graph, h hints) (family, int) {
	p, ok := rows(g)
	if !ok {
		return nil, 0
	}
	raw := g.ops["Exp"] == 0 && g.metadata["stride"] == "" && p.dims[1] == cells(h.base, yoloStrides())
	if !raw && h.family != "yolox" {
		return nil, 0
	}
	return yolo{name: p.name, classes: p.dims[2] - 5, perCell: 1, kind: x}, p.dims[2] - 5
}

// matchYOLOv5: three boxes a cell, or one where the metadata or the graph says
// that boxes are decoded (see matchYOLOX).
func matchYOLOv5(g *graph, h hints) (family, int) {
	p, ok := rows(g)
	if !ok {
		return nil, 0
	}
	one := cells(h.base, yoloStrides())
	f := yolo{name: p.name, classes: p.dims[2] - 5, perCell: 3, kind: v5}
	switch {
	case p.dims[1] == one:
		f.perCell = 1
	case p.dims[1] == 3*one:
	case p.dims[1] == 0 && (h.family == "yolov5" || g.metadata["stride"] != ""):
	default:
		return nil, 0
	}
	return f, f.classes
}

// rows is the output [N, anchors, 5 + classes].
func rows(g *graph) (port, bool) {
	p, ok := single(g)
	return p, ok && p.dims[2] > 5 && (p.dims[1] == 0 || p.dims[1] > p.dims[2])
}

func (f yolo) outputs(s Shape) []output {
	n := f.anchors(s)
	if f.kind == v8 {
		return []output{{f.name, []int{4 + f.classes, n}}}
	}
	return []output{{f.name, []int{n, 5 + f.classes}}}
}

func (f yolo) decode(values [][]float32, s Shape, wanted []bool, threshold float32, dst []kernels.Box) ([]kernels.Box, error) {
	switch f.kind {
	case v8:
		return kernels.DecodeYOLOv8(values[0], f.classes, wanted, threshold, dst)
	case x:
		return kernels.DecodeYOLOX(values[0], f.classes, s.Width, s.Height, wanted, threshold, dst)
	}
	return kernels.DecodeYOLOv5(values[0], f.classes, wanted, threshold, dst)
}
