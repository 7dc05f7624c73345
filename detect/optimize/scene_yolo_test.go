package optimize

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/internal/testkit"
)

// A network of YOLOv8n's shape, with SiLU, C2f's splits and distributions in its
// heads, goes the way of a scene: what is left of it has the size that was planned,
// runs on both engines, and finds nearly what it did once it is fitted.
func TestSceneOfYOLO(t *testing.T) {
	m := graphtest.YOLOv8(t)
	m.SetMeta("names", `["a","b","c"]`)
	path := filepath.Join(t.TempDir(), "yolo.onnx")
	if err := os.WriteFile(path, m.Write(), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, err := onnx.ReadSpec(path)
	if err != nil || spec.Family != "yolov8" {
		t.Fatalf("%+v, %v", spec, err)
	}
	for key, value := range spec.Metadata() {
		m.SetMeta(key, value)
	}
	if _, err := simplified(m, nil); err != nil {
		t.Fatal(err)
	}
	var frames []*decode.Frame
	for i := range 8 {
		frames = append(frames, graphtest.Noise(graphtest.Pixels+8*i, graphtest.Pixels))
	}
	defer Release(frames)
	s := &specialist{
		ctx: t.Context(), r: &Report{}, in: spec.Input, shape: spec.Input.Base, log: slog.New(slog.DiscardHandler), m: m, learn: frames[:6], known: frames[:6],
		c: Config{Model: path, Engines: []string{plainEngine}, Least: .4, LibDirs: []string{
			filepath.Dir(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so")), filepath.Dir(testkit.Dep(t, "openvino/lib/libopenvino_c.so"))}},
	}
	if err := s.quiet(m); err != nil {
		t.Fatal(err)
	}
	s.trace()
	if err := s.turn(); err != nil || len(s.r.Steps) != 0 {
		t.Errorf("channels in front of activations were turned: %+v, %v", s.r.Steps, err)
	}
	groups := make([]int, len(s.net.Groups))
	for i := range groups {
		groups[i] = i
	}
	measured, err := s.measure(groups)
	if err != nil {
		t.Fatal(err)
	}
	q := &series{specialist: s, plan: s.net.Plan(measured, s.block(), lanes), measured: measured}
	at := len(q.plan) / 2
	c := &candidate{q: q, at: at}
	if err := c.build(); err != nil {
		t.Fatal(err)
	}
	before, after := SizeOf(m, graphtest.Pixels, graphtest.Pixels).MACs, SizeOf(c.model, graphtest.Pixels, graphtest.Pixels).MACs
	if planned := q.plan[0].MACs - q.plan[at].MACs; len(q.plan) < 10 || before-after != planned || planned < before/10 {
		t.Errorf("of %d multiply-adds %d are left, and %d were to go in %d steps", before, after, planned, at)
	}
	unfitted, err := s.net.Apply(s.net.Without(measured, q.plan[at].Counts), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	rough := *m
	rough.Graph = unfitted
	for _, engine := range []string{plainEngine, "openvino"} {
		j, err := s.newJury(frames[6:], engine, "f32", s.c.Least)
		if err != nil {
			t.Fatal(err)
		}
		fitted, err := j.ask(c.model, s.shape)
		if err != nil {
			t.Fatalf("%s: %v", engine, err)
		}
		plain, err := j.ask(&rough, s.shape)
		if err != nil {
			t.Fatalf("%s: %v", engine, err)
		}
		if a, b := apart(j.original, fitted), apart(j.original, plain); a >= b || a == 0 {
			t.Errorf("%s: fitted it is off by %v, as it was by %v", engine, a, b)
		}
	}
}
