package onnx

import (
	"strings"
	"testing"

	"sightline/kernels"
)

func TestRecognizeSSD(t *testing.T) {
	image := []port{f32("input_0", 1, 3, 300, 300)}
	pair := []port{f32("scores", 1, 3000, 3), f32("boxes", 1, 3000, 4)}
	softmax := map[string]int{"Softmax": 1, "Conv": 40}
	two := ssd{classes: 2, priors: 3000, scores: "scores", boxes: "boxes", rest: 1}
	for name, c := range map[string]struct {
		g       graph
		sidecar string
		want    family
	}{
		"its labels":                    {graph{inputs: image, outputs: pair}, "labels: [person, car]", two},
		"labels with the background":    {graph{inputs: image, outputs: pair, ops: softmax}, "labels: [BACKGROUND, person, car]", two},
		"named, with the background":    {graph{inputs: image, outputs: pair}, "family: ssd\nlabels: [__background__, person, car]", two},
		"labels in the file":            {graph{inputs: image, outputs: pair, metadata: map[string]string{"names": `["person", "car"]`}}, "", two},
		"open size, and what it is for": {graph{inputs: []port{f32("i", 0, 3, 0, 0)}, outputs: pair}, "labels: [person, car]\ninput: {size: 300x300}", two},
		"named, a sigmoid for each": {
			graph{inputs: image, outputs: pair}, "family: ssd\nlabels: [a, b, c]", ssd{classes: 3, priors: 3000, scores: "scores", boxes: "boxes"},
		},
		"a transformer's pair": {
			graph{inputs: image, outputs: pair, ops: map[string]int{"Softmax": 6, "MatMul": 40}}, "labels: [a, b, c]",
			rtdetr{classes: 3, queries: 3000, scores: "scores", boxes: "boxes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := ReadSpec(write(t, c.g.file(), c.sidecar))
			if err != nil {
				t.Fatal(err)
			}
			if spec.family != c.want {
				t.Errorf("family %+v, want %+v", spec.family, c.want)
			}
			in := spec.Input
			if spec.Family == "ssd" && (in.Base != Shape{300, 300} || !in.Fixed || in.Fit != kernels.Stretch || in.Mean[0] != 127 || in.Std[0] != 128 || spec.Labels[0] == "BACKGROUND") {
				t.Errorf("pictures as %+v, labels %v", in, spec.Labels)
			}
		})
	}
}

// What lacks something says what, and counts the classes without the background.
func TestSSDRefused(t *testing.T) {
	softmax, pair := map[string]int{"Softmax": 1}, []port{f32("scores", 1, 3000, 21), f32("boxes", 1, 3000, 4)}
	fixed := []port{f32("i", 1, 3, 300, 300)}
	for want, c := range map[string]struct {
		g       graph
		sidecar string
	}{
		"its 20 classes have no names":             {graph{inputs: fixed, outputs: pair, ops: softmax}, ""},
		"3 labels for a network of 20 classes":     {graph{inputs: fixed, outputs: pair, ops: softmax}, "labels: [a, b, c]"},
		"say which under input.size":               {graph{inputs: []port{f32("i", 1, 3, 0, 0)}, outputs: pair, ops: softmax}, "family: ssd"},
		"outputs scores f32[1, 3000, 21], boxes f": {graph{inputs: fixed, outputs: []port{pair[0], f32("boxes", 1, 100, 4)}}, "family: ssd"},
	} {
		if _, err := ReadSpec(write(t, c.g.file(), c.sidecar)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant one with %q", err, want)
		}
	}
}

// An object's box is in pixels of the input, and the background is none however sure it is.
func TestSSDBoxes(t *testing.T) {
	f, s := ssd{classes: 2, priors: 3, scores: "scores", boxes: "boxes", rest: 1}, Shape{300, 200}
	values := [][]float32{{.9, .06, .04, .1, .2, .7, .05, .9, .05}, {0, 0, 1, 1, .5, .25, 1, .75, .5, .5, .4, .4}}
	for i, o := range f.outputs(s) {
		if o.size() != len(values[i]) {
			t.Errorf("output %s of %d values, want %d", o.name, o.size(), len(values[i]))
		}
	}
	got, err := f.decode(values, s, nil, .5, nil)
	want := kernels.Box{X1: 150, Y1: 50, X2: 300, Y2: 150, Score: .7, Class: 1, Anchor: 1}
	if err != nil || len(got) != 1 || got[0] != want || f.anchors(s) != 3 {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}
