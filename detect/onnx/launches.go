package onnx

import "sightline/kernels"

func (f nanodet) anchors(s Shape) int { return cells(s, f.strides) }

func (f nanodet) launches(values []uint64, s Shape, to kernels.Candidates) []kernels.Launch {
	var all []kernels.Launch
	first, width := 0, f.classes+4*f.bins
	for i, stride := range f.strides {
		h := kernels.HeadOutput{
			Columns: steps(s.Width, stride), Rows: steps(s.Height, stride), Stride: stride, First: first,
			Planar: f.heads != nil, Corner: f.plus(),
		}
		n := h.Columns * h.Rows
		switch {
		case h.Planar:
			h.Scores, h.Bins = values[i], values[i]+uint64(4*f.classes*n)
			h.ScoresRow, h.BinsRow = width*n, width*n
		case f.joined != "":
			h.Scores, h.Width = values[0]+uint64(4*width*first), width
			h.Bins = h.Scores + uint64(4*f.classes)
			h.ScoresRow, h.BinsRow = width*f.anchors(s), width*f.anchors(s)
		default:
			h.Scores, h.Bins = values[2*i], values[2*i+1]
			h.ScoresRow, h.BinsRow = n*f.classes, n*4*f.bins
		}
		all = append(all, to.LaunchNanoDet(h, f.bins))
		first += n
	}
	return all
}

func (f yolo) anchors(s Shape) int { return f.perCell * cells(s, yoloStrides()) }

func (f yolo) launches(values []uint64, s Shape, to kernels.Candidates) []kernels.Launch {
	switch f.kind {
	case v8:
		return []kernels.Launch{to.LaunchYOLOv8(values[0], f.anchors(s))}
	case x:
		return []kernels.Launch{to.LaunchYOLOX(values[0], s.Width, s.Height)}
	}
	return []kernels.Launch{to.LaunchYOLOv5(values[0], f.anchors(s))}
}
