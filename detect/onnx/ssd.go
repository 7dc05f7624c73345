package onnx

import (
	"fmt"
	"strings"

	"sightline/kernels"
)

// ssd is a network that gives, for each prior box, the scores of all classes behind
// that of the background, and corners in 0..1 of the input. The priors are constants of
// the graph, made for one size of input.
type ssd struct {
	classes, priors int // classes without the background
	scores, boxes   string
	rest            int // scores of a prior before the first class: 1 for the background, or none
}

// matchSSD looks for a pair of outputs named scores [N, priors, 1 + classes] and boxes
// [N, priors, 4]. RT-DETR's pairs look the same where no labels are known: they have
// products of matrices in them, and SSD's scores are a softmax over the classes. Named
// in the description it may have those, and be without a background.
func matchSSD(g *graph, h hints) (family, int) {
	f, wide := ssd{rest: 1}, 0
	if len(g.outputs) != 2 {
		return nil, 0
	}
	for _, p := range g.outputs {
		switch {
		case p.elem != elemFloat32 || len(p.dims) != 3 || p.dims[1] == 0 || p.dims[2] == 0:
			return nil, 0
		case strings.Contains(p.name, "boxes") && p.dims[2] == 4:
			f.boxes, f.priors = p.name, p.dims[1]
		case strings.Contains(p.name, "scores"):
			f.scores, wide = p.name, p.dims[2]
		}
	}
	named, known := h.family == "ssd", h.classes
	if h.background {
		known--
	}
	switch {
	case f.boxes == "" || f.scores == "" || g.outputs[0].dims[1] != g.outputs[1].dims[1]:
		return nil, 0
	case !named && g.ops["MatMul"]+g.ops["GridSample"] > 0 || !named && g.ops["Softmax"] == 0 && wide != known+1:
		return nil, 0
	case named && wide == known:
		f.rest = 0
	case wide < 2:
		return nil, 0
	}
	f.classes = wide - f.rest
	return f, f.classes
}

// isBackground tells whether labels begin with that of no object, as lists for SSD
// often do.
func isBackground(labels []string) bool {
	return len(labels) > 0 && strings.EqualFold(strings.Trim(labels[0], "_"), "background")
}

// settle takes the background off the labels, and the input's size as the only one.
func (f ssd) settle(spec *Spec, sized bool) error {
	if isBackground(spec.Labels) {
		spec.Labels = spec.Labels[1:]
	}
	if !sized && !spec.Input.Fixed {
		return fmt.Errorf("its input is of open size, but its boxes are for one: say which under input.size in %s", SidecarName(spec.Path))
	}
	spec.Input.Fixed = true
	return nil
}

func (f ssd) outputs(Shape) []output {
	return []output{{f.scores, []int{f.priors, f.rest + f.classes}}, {f.boxes, []int{f.priors, 4}}}
}

func (f ssd) anchors(Shape) int { return f.priors }

func (f ssd) decode(values [][]float32, s Shape, wanted []bool, threshold float32, dst []kernels.Box) ([]kernels.Box, error) {
	q := kernels.Queries{
		Scores: values[0][f.rest:], Boxes: values[1], Count: f.priors, ScoreStep: f.rest + f.classes, BoxStep: 4, Corners: true,
	}
	return kernels.DecodeDETR(q, f.classes, s.Width, s.Height, wanted, threshold, dst)
}

func (f ssd) launches(values []uint64, s Shape, to kernels.Candidates) []kernels.Launch {
	q := kernels.QueryOutput{
		Scores: values[0] + 4*uint64(f.rest), Boxes: values[1], Count: f.priors, ScoreStep: f.rest + f.classes, BoxStep: 4, Corners: true,
	}
	q.ScoresRow, q.BoxesRow = q.Count*q.ScoreStep, q.Count*q.BoxStep
	return []kernels.Launch{to.LaunchDETR(q, s.Width, s.Height)}
}
