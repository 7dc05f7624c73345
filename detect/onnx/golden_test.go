package onnx

import (
	"testing"

	"sightline/detect"
)

// TestGolden compares both engines, on real frames, with boxes that a plain float script found: testdata/reference.py.
func TestGolden(t *testing.T) {
	ref, pictures := readReference(t), frames(t)
	for _, c := range []struct {
		name, engine, precision, model string
		slack                          float64
	}{
		{"onnxruntime", onnxRuntime, "f32", "coco-nano", 0.02},
		{"onnxruntime float input", onnxRuntime, "f32", "coco-nano-f32", 0.02},
		{"openvino", openVINO, "f32", "coco-nano", 0.02},
		{"openvino by itself", openVINO, "auto", "coco-nano", 0.05},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t, c.model, c.engine)
			cfg.Precision = c.precision
			s := open(t, cfg)
			found := look(t, s, newWriter(t, s, WriterConfig{Threshold: ref.Threshold}), pictures...)
			for i, got := range found {
				if err := different(got, ref.boxes(i), ref.Threshold, c.slack); err != nil {
					t.Errorf("frame %d: %v", ref.Frames[i].Index, err)
				}
			}
		})
	}
}

// TestFamilies compares what each family finds with what NanoDet finds in the
// same pixels: the test models have its weights.
func TestFamilies(t *testing.T) {
	const threshold = 0.3
	pictures := frames(t)
	for _, c := range []struct{ model, engine, family, sidecar, same string }{
		{"testing/yolov8", openVINO, "yolov8", "", "input: {pad: 114}"},
		{"testing/yolov5", onnxRuntime, "yolov5", "", "input: {pad: 114}"},
		{"testing/yolox", onnxRuntime, "yolox", "labels: coco", "input: {pad: 114, fit: topleft}"},
	} {
		t.Run(c.family, func(t *testing.T) {
			var found [2][][]detect.Detection
			for i, m := range []struct{ model, sidecar string }{{c.model, c.sidecar}, {"coco-nano-f32", c.same}} {
				cfg := config(t, m.model, c.engine)
				cfg.Model, cfg.Precision, cfg.Input = copyModel(t, m.model, m.sidecar), "f32", "model"
				s := open(t, cfg)
				if i == 0 && s.Spec().Family != c.family {
					t.Fatalf("recognized as %s", s.Spec().Family)
				}
				found[i] = look(t, s, newWriter(t, s, WriterConfig{Threshold: threshold}), pictures...)
			}
			for i, got := range found[0] {
				if err := different(got, found[1][i], threshold, 0.005); err != nil || len(got) == 0 {
					t.Errorf("picture %d, %d boxes: %v", i, len(got), err)
				}
			}
		})
	}
}
