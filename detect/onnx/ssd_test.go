package onnx

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect"
	"sightline/internal/testkit"
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

// A network of MobileNet-SSD's kind with seeded random weights sees on both engines what
// a plain script with plain ONNX Runtime sees.
func TestSSDReference(t *testing.T) {
	const width, height, threshold = 320, 160, 0.6
	script, python := filepath.Join(testkit.Root(t), "detect/onnx/testdata/ssd.py"), testkit.Dep(t, "venv/bin/python")
	dir := t.TempDir()
	model, luma := filepath.Join(dir, "ssd.onnx"), filepath.Join(dir, "luma")
	ask := func(args ...string) []byte {
		cmd := exec.CommandContext(t.Context(), python, append([]string{script}, args...)...)
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ask("make", model)
	rng := rand.New(rand.NewPCG(3, 4))
	var pictures []*decode.Frame
	var all []byte
	for range 3 {
		blocks := make([]byte, width*height/64)
		for i := range blocks {
			blocks[i] = byte(16 + rng.IntN(220))
		}
		data := make([]byte, width*height*3/2)
		for i := range data {
			if data[i] = 128; i < width*height {
				data[i] = blocks[i/width/8*(width/8)+i%width/8]
			}
		}
		all, pictures = append(all, data[:width*height]...), append(pictures, i420(data, width, height))
	}
	if err := os.WriteFile(luma, all, 0o600); err != nil {
		t.Fatal(err)
	}
	var boxes [][][]any
	if err := json.Unmarshal(ask("look", model, luma, fmt.Sprint(width), fmt.Sprint(height), fmt.Sprint(threshold)), &boxes); err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{onnxRuntime, openVINO} {
		cfg := config(t, "coco-nano", engine)
		cfg.Model, cfg.Precision = model, "f32"
		s := open(t, cfg)
		for i, got := range look(t, s, newWriter(t, s, WriterConfig{Threshold: threshold}), pictures...) {
			var want []detect.Detection
			for _, b := range boxes[i] {
				n := func(k int) float64 { return b[k].(float64) }
				want = append(want, detect.Detection{Class: b[0].(string), Score: n(1), Box: detect.Rect{X: n(2), Y: n(3), W: n(4), H: n(5)}})
			}
			if err := different(got, want, threshold, 0.02); err != nil || len(want) < 10 {
				t.Errorf("%s, picture %d of %d boxes: %v", engine, i, len(want), err)
			}
		}
	}
}
