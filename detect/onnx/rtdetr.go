package onnx

import (
	"strings"

	"sightline/kernels"
)

// detrOverlap is the intersection over union from which two queries are one object:
// RT-DETR is trained to say everything once, so that only near copies go.
const detrOverlap = 0.9

// rtdetr is a network whose queries each give a box in 0..1 of the input and scores
// of all classes: in one output, or the scores, perhaps without their sigmoid, in one
// of their own.
type rtdetr struct {
	classes, queries int
	scores, boxes    string // names of the outputs; equal where they share one, boxes first
	logits           bool
}

// matchRTDETR looks for a pair of scores and boxes, which export tools name logits
// and pred_boxes, or for an output [N, queries, 4 + classes] of a number of queries
// that is no number of anchors. Where the labels do not say how many classes there
// are, the graph must sample features at places of its own, as no other family does.
func matchRTDETR(g *graph, h hints) (family, int) {
	if f := matchQueries(g.outputs, h); f.queries > 0 {
		return f, f.classes
	}
	p, ok := single(g)
	if !ok || p.dims[1] == 0 || p.dims[1] > 2000 || p.dims[2] < 5 {
		return nil, 0
	}
	classes, cells := p.dims[2]-4, cells(h.base, yoloStrides())
	named := h.family == "rtdetr"
	if !named && (classes != h.classes && (h.classes > 0 || g.ops["GridSample"] == 0) || p.dims[1] == cells || p.dims[1] == 3*cells) {
		return nil, 0
	}
	return rtdetr{classes: classes, queries: p.dims[1], scores: p.name, boxes: p.name}, classes
}

// matchQueries finds the pair of outputs. Others, such as those of hidden layers, do
// not matter.
func matchQueries(outputs []port, h hints) (f rtdetr) {
	scored := 0
	for _, p := range outputs {
		if p.elem != elemFloat32 || len(p.dims) != 3 || p.dims[1] == 0 || p.dims[2] == 0 {
			continue
		}
		logits := strings.Contains(p.name, "logits")
		switch {
		case strings.Contains(p.name, "boxes") && p.dims[2] == 4:
			f.boxes, f.queries = p.name, p.dims[1]
		case (logits || strings.Contains(p.name, "scores")) && (h.classes == 0 || p.dims[2] == h.classes):
			f.scores, f.classes, f.logits, scored = p.name, p.dims[2], logits, p.dims[1]
		}
	}
	if f.boxes == "" || f.scores == "" || scored != f.queries {
		return rtdetr{}
	}
	return f
}

func (f rtdetr) outputs(Shape) []output {
	if f.scores == f.boxes {
		return []output{{f.boxes, []int{f.queries, 4 + f.classes}}}
	}
	return []output{{f.scores, []int{f.queries, f.classes}}, {f.boxes, []int{f.queries, 4}}}
}

func (f rtdetr) anchors(Shape) int { return f.queries }

func (f rtdetr) decode(values [][]float32, s Shape, wanted []bool, threshold float32, dst []kernels.Box) ([]kernels.Box, error) {
	q := kernels.Queries{Scores: values[0], Count: f.queries, ScoreStep: f.classes, BoxStep: 4, Logits: f.logits}
	if f.scores == f.boxes {
		q.Boxes, q.Scores = values[0], values[0][4:]
		q.ScoreStep, q.BoxStep = 4+f.classes, 4+f.classes
	} else {
		q.Boxes = values[1]
	}
	return kernels.DecodeDETR(q, f.classes, s.Width, s.Height, wanted, threshold, dst)
}

func (f rtdetr) launches(values []uint64, s Shape, to kernels.Candidates) []kernels.Launch {
	q := kernels.QueryOutput{Scores: values[0], Count: f.queries, ScoreStep: f.classes, BoxStep: 4, Logits: f.logits}
	if f.scores == f.boxes {
		q.Boxes, q.Scores = values[0], values[0]+4*4
		q.ScoreStep, q.BoxStep = 4+f.classes, 4+f.classes
	} else {
		q.Boxes = values[1]
	}
	q.ScoresRow, q.BoxesRow = q.Count*q.ScoreStep, q.Count*q.BoxStep
	return []kernels.Launch{to.LaunchDETR(q, s.Width, s.Height)}
}

// overlapOf is the intersection over union from which two boxes of a network are one object.
func overlapOf(f family) float32 {
	if _, is := f.(rtdetr); is {
		return detrOverlap
	}
	return maxOverlap
}
