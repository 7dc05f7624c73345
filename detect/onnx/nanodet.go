package onnx

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sightline/kernels"
)

// nanodet has, for each stride, class scores and for each side of the box a
// distribution over distances in strides: in two outputs, the sigmoid applied to
// the scores, or in one for all, or as its last convolutions give them.
type nanodet struct {
	classes, bins int
	strides       []int
	scores, boxes []string // names of the outputs, by stride
	joined        string   // name of the only output, which holds all strides' scores and bins side by side
	heads         []string // names of the last convolutions, by stride: planes of scores without sigmoid, then of bins
}

// matchNanoDet looks for pairs named cls8 and reg8, or cls_pred_stride_8 and
// dis_pred_stride_8, or for one output as wide as the known classes and bins.
func matchNanoDet(g *graph, h hints) (family, int) {
	if f := matchHeads(g.outputs, h); f != nil {
		return *f, f.classes
	}
	if len(g.outputs) == 1 {
		return matchJoined(g.outputs[0], h)
	}
	scores, boxes := map[int]port{}, map[int]port{}
	name := regexp.MustCompile(`^(cls|reg|dis)\D*(\d+)$`)
	for _, p := range g.outputs {
		m := name.FindStringSubmatch(p.name)
		if m == nil || p.elem != elemFloat32 || len(p.dims) != 3 || p.dims[2] == 0 {
			return nil, 0
		}
		stride, err := strconv.Atoi(m[2])
		if err != nil || stride < 1 || stride > 256 {
			return nil, 0
		}
		if m[1] == "cls" {
			scores[stride] = p
		} else {
			boxes[stride] = p
		}
	}
	return pairs(scores, boxes)
}

func pairs(scores, boxes map[int]port) (family, int) {
	var f nanodet
	for stride := range scores {
		f.strides = append(f.strides, stride)
	}
	slices.Sort(f.strides)
	for i, stride := range f.strides {
		cls, reg := scores[stride], boxes[stride]
		if reg.dims == nil || reg.dims[2]%4 != 0 {
			return nil, 0
		}
		if i == 0 {
			f.classes, f.bins = cls.dims[2], reg.dims[2]/4
		}
		if cls.dims[2] != f.classes || reg.dims[2] != 4*f.bins {
			return nil, 0
		}
		f.scores, f.boxes = append(f.scores, cls.name), append(f.boxes, reg.name)
	}
	if len(f.strides) == 0 || len(boxes) != len(scores) {
		return nil, 0
	}
	return f, f.classes
}

// matchHeads looks for outputs named head8, head16 and so on, which need the labels
// as well. It is how `sightline optimize` leaves NanoDet.
func matchHeads(outputs []port, h hints) *nanodet {
	f := nanodet{classes: h.classes}
	named := map[int]string{}
	for _, p := range outputs {
		digits, is := strings.CutPrefix(p.name, "head")
		stride, err := strconv.Atoi(digits)
		if !is || err != nil || stride < 1 || stride > 256 || p.elem != elemFloat32 || len(p.dims) != 4 {
			return nil
		}
		bins := (p.dims[1] - h.classes) / 4
		if h.classes == 0 || bins < 1 || p.dims[1] != h.classes+4*bins || f.bins != 0 && bins != f.bins {
			return nil
		}
		f.bins, named[stride] = bins, p.name
	}
	f.strides = slices.Sorted(maps.Keys(named))
	for _, stride := range f.strides {
		f.heads = append(f.heads, named[stride])
	}
	if len(f.heads) == 0 || len(f.heads) != len(outputs) {
		return nil
	}
	return &f
}

// matchJoined needs the labels: nothing else tells scores from bins.
func matchJoined(p port, h hints) (family, int) {
	if h.classes == 0 || p.elem != elemFloat32 || len(p.dims) != 3 {
		return nil, 0
	}
	bins := (p.dims[2] - h.classes) / 4
	known := bins == 8 || bins == 11 || bins == h.bins // NanoDet-Plus has 8, NanoDet 11
	if !known || p.dims[2] != h.classes+4*bins {
		return nil, 0
	}
	f := nanodet{classes: h.classes, bins: bins, strides: h.strides, joined: p.name}
	for _, strides := range [][]int{{8, 16, 32, 64}, {8, 16, 32}} {
		if f.strides == nil && p.dims[1] == cells(h.base, strides) {
			f.strides = strides
		}
	}
	if f.strides == nil {
		f.strides = []int{8, 16, 32}
	}
	return f, f.classes
}

func (f nanodet) outputs(s Shape) []output {
	if f.joined != "" {
		return []output{{f.joined, []int{cells(s, f.strides), f.classes + 4*f.bins}}}
	}
	var out []output
	for i, name := range f.heads {
		out = append(out, output{name, []int{f.classes + 4*f.bins, steps(s.Height, f.strides[i]), steps(s.Width, f.strides[i])}})
	}
	if out != nil {
		return out
	}
	for i, stride := range f.strides {
		n := cells(s, []int{stride})
		out = append(out, output{f.scores[i], []int{n, f.classes}}, output{f.boxes[i], []int{n, 4 * f.bins}})
	}
	return out
}

func (f nanodet) decode(values [][]float32, s Shape, wanted []bool, threshold float32, dst []kernels.Box) ([]kernels.Box, error) {
	if f.joined != "" {
		values = f.split(values[0], s)
	}
	heads := make([]kernels.Head, 0, 4)
	for i, stride := range f.strides {
		h := kernels.Head{Columns: steps(s.Width, stride), Rows: steps(s.Height, stride), Stride: stride, Planar: f.heads != nil, Corner: f.plus()}
		if h.Planar {
			n := f.classes * h.Columns * h.Rows
			h.Scores, h.Bins = values[i][:n], values[i][n:]
		} else {
			h.Scores, h.Bins = values[2*i], values[2*i+1]
		}
		heads = append(heads, h)
	}
	return kernels.DecodeNanoDet(heads, f.classes, f.bins, wanted, threshold, dst)
}

// plus tells NanoDet-Plus, whose distances start at the corner of a cell, from
// NanoDet, where they start at its center.
func (f nanodet) plus() bool { return slices.Contains(f.strides, 64) }

// split copies a joined output apart, as the kernels want it.
func (f nanodet) split(joined []float32, s Shape) [][]float32 {
	width := f.classes + 4*f.bins
	var values [][]float32
	for _, stride := range f.strides {
		n := cells(s, []int{stride})
		scores, bins := make([]float32, 0, n*f.classes), make([]float32, 0, n*4*f.bins)
		for row := range slices.Chunk(joined[:n*width], width) {
			scores, bins = append(scores, row[:f.classes]...), append(bins, row[f.classes:]...)
		}
		joined = joined[n*width:]
		values = append(values, scores, bins)
	}
	return values
}
