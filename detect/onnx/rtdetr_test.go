package onnx

import (
	"math"
	"testing"

	"sightline/kernels"
)

func TestRecognizeRTDETR(t *testing.T) {
	image := []port{f32("images", 0, 3, 640, 640)}
	two, samples := `labels: [person, car]`, map[string]int{"GridSample": 6}
	joined := rtdetr{classes: 2, queries: 300, scores: "output0", boxes: "output0"}
	for name, c := range map[string]struct {
		g       graph
		sidecar string
		want    family
	}{
		"one output, by its labels":  {graph{outputs: []port{f32("output0", 0, 300, 6)}}, two, joined},
		"one output, by the sidecar": {graph{outputs: []port{f32("output0", 0, 300, 6)}}, "family: rtdetr\n" + two, joined},
		"more classes than queries": {
			graph{outputs: []port{f32("out", 0, 5, 6)}}, two, rtdetr{classes: 2, queries: 5, scores: "out", boxes: "out"},
		},
		"a pair, and what nobody needs": {
			graph{outputs: []port{f32("logits", 0, 300, 2), f32("pred_boxes", 0, 300, 4), f32("last_hidden_state", 0, 300, 256)}},
			two, rtdetr{classes: 2, queries: 300, scores: "logits", boxes: "pred_boxes", logits: true},
		},
		"a pair with the sigmoid applied, of four classes": {
			graph{outputs: []port{f32("boxes", 0, 100, 4), f32("scores", 0, 100, 4)}},
			"labels: [a, b, c, d]", rtdetr{classes: 4, queries: 100, scores: "scores", boxes: "boxes"},
		},
		"YOLOv8 of as many values as queries": {
			graph{outputs: []port{f32("output0", 0, 6, 8400)}, ops: samples}, two, yolo{name: "output0", classes: 2, perCell: 1, kind: v8},
		},
		"YOLOX": {graph{outputs: []port{f32("output", 0, 8400, 7)}}, two, yolo{name: "output", classes: 2, perCell: 1, kind: x}},
	} {
		t.Run(name, func(t *testing.T) {
			c.g.inputs = image
			spec, err := ReadSpec(write(t, c.g.file(), c.sidecar))
			if err != nil {
				t.Fatal(err)
			}
			if spec.family != c.want {
				t.Errorf("family %+v, want %+v", spec.family, c.want)
			}
			if in := spec.Input; spec.Family == "rtdetr" && (in.Fit != kernels.Stretch || in.Order != kernels.RGB || in.Std[0] != 255) {
				t.Errorf("pictures as %+v", in)
			}
		})
	}
}

// What a file says of itself is enough to read it as it was, stretched pictures included.
func TestRTDETRDescribesItself(t *testing.T) {
	g := &graph{inputs: []port{f32("images", 0, 3, 640, 640)}, outputs: []port{f32("output0", 0, 300, 6)}}
	first, err := ReadSpec(write(t, g.file(), "labels: [person, car]"))
	if err != nil {
		t.Fatal(err)
	}
	g.metadata = first.Metadata()
	again, err := ReadSpec(write(t, g.file(), ""))
	if err != nil || again.Input != first.Input || again.family != first.family {
		t.Errorf("%+v, %v, want %+v", again, err, first)
	}
}

// What says nothing of its classes must look like RT-DETR inside; a network that ends
// in its own suppression ([N, 300, 6]: corners, score, class) does not fit its labels.
func TestRTDETRIsNotGuessed(t *testing.T) {
	unlabeled := &graph{inputs: []port{f32("images", 0, 3, 640, 640)}, outputs: []port{f32("output0", 0, 300, 6)}}
	if f, _ := matchRTDETR(unlabeled, hints{base: Shape{640, 640}}); f != nil {
		t.Errorf("taken for %+v", f)
	}
	if f, _ := matchRTDETR(unlabeled, hints{classes: 80, base: Shape{640, 640}}); f != nil {
		t.Errorf("with 80 labels taken for %+v", f)
	}
	unlabeled.ops = map[string]int{"GridSample": 6}
	if f, classes := matchRTDETR(unlabeled, hints{base: Shape{640, 640}}); f == nil || classes != 2 {
		t.Errorf("%+v, %d classes", f, classes)
	}
}

// Two objects, in both kinds of output: their boxes are in pixels of the input, and
// neighbors that overlap by half are two.
func TestRTDETRBoxes(t *testing.T) {
	s := Shape{320, 160}
	logit := func(p float64) float32 { return float32(math.Log(p / (1 - p))) }
	scores := [][]float64{{.1, .8}, {.05, .02}, {.1, .7}}
	boxes := [][]float32{{.5, .5, .25, .5}, {.1, .1, .1, .1}, {.5625, .5, .25, .5}}
	joined := rtdetr{classes: 2, queries: 3, scores: "o", boxes: "o"}
	pair := rtdetr{classes: 2, queries: 3, scores: "l", boxes: "b", logits: true}
	var one, first, second []float32
	for q := range scores {
		one = append(append(one, boxes[q]...), float32(scores[q][0]), float32(scores[q][1]))
		first, second = append(first, logit(scores[q][0]), logit(scores[q][1])), append(second, boxes[q]...)
	}
	for _, c := range []struct {
		f      rtdetr
		values [][]float32
	}{{joined, [][]float32{one}}, {pair, [][]float32{first, second}}} {
		for i, o := range c.f.outputs(s) {
			if o.size() != len(c.values[i]) {
				t.Errorf("output %s of %d values, want %d", o.name, o.size(), len(c.values[i]))
			}
		}
		got, err := c.f.decode(c.values, s, nil, .5, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err = kernels.NMS(got, overlapOf(c.f), nil, 10)
		if err != nil || len(got) != 2 {
			t.Fatalf("boxes %+v, %v", got, err)
		}
		if b := got[0]; b.X1 != 120 || b.Y1 != 40 || b.X2 != 200 || b.Y2 != 120 || b.Class != 1 || b.Anchor != 0 || math.Abs(float64(b.Score)-.8) > 1e-6 {
			t.Errorf("box %+v", b)
		}
		if got[1].Anchor != 2 || c.f.anchors(s) != 3 {
			t.Errorf("box %+v of %d queries", got[1], c.f.anchors(s))
		}
	}
}
