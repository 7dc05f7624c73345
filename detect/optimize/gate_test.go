package optimize

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect"
	"sightline/detect/optimize/graph"
	"sightline/internal/testkit"
)

// gateKit is the default network's file, and four pictures to look at with it.
func gateKit(t *testing.T) (model string, frames []*decode.Frame) {
	t.Helper()
	model, video := testkit.Dep(t, "models/coco-nano.onnx"), testkit.Dep(t, "media/vtest.avi")
	testkit.Dep(t, "onnxruntime/lib")
	frames, err := Frames(t.Context(), video, 100, 4, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Release(frames) })
	return model, frames
}

func readGraph(t *testing.T, path string) *graph.Model {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What does not see the same is not written, however little it differs.
func TestGateRefusesAnotherNetwork(t *testing.T) {
	model, frames := gateKit(t)
	m, log := readGraph(t, model), slog.New(slog.DiscardHandler)
	bias := m.Graph.Tensors["bias_30"].Float32s()
	bias[0] += 1e-3 // of the class person, stride 8
	m.Graph.Tensors["bias_30"] = graph.NewFloat32("bias_30", []int64{int64(len(bias))}, bias)

	out := filepath.Join(t.TempDir(), "out.onnx")
	c := Config{Model: model, Out: out, Mode: ExactMode, Engines: []string{"onnxruntime"}, Least: .05, Agreement: .97}
	r := &Report{Mode: ExactMode}
	err := finish(t.Context(), c, r, m, frames, log)
	if !errors.Is(err, ErrBudget) || r.Passed || !strings.Contains(r.Reason, "scores by 0.0") {
		t.Errorf("got %v: %+v", err, r)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 0 {
		t.Errorf("written: %v", left)
	}
	if err := finish(t.Context(), c, &Report{Mode: ExactMode}, readGraph(t, model), frames, log); err != nil {
		t.Errorf("the network itself: %v", err)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

// What ranks boxes as the original does, and so keeps its AP50, but scores them lower
// is refused: at the threshold that one works with they are gone.
func TestGateRefusesLowerScores(t *testing.T) {
	model, frames := gateKit(t)
	m, log := readGraph(t, model), slog.New(slog.DiscardHandler)
	for _, name := range []string{"bias_30", "bias_32", "bias_34"} { // of the last convolutions
		bias := m.Graph.Tensors[name].Float32s()
		for class := range 80 {
			bias[class]--
		}
		m.Graph.Tensors[name] = graph.NewFloat32(name, []int64{int64(len(bias))}, bias)
	}
	asked := false
	c := Config{
		Model: model, Out: filepath.Join(t.TempDir(), "out.onnx"), Mode: GeneralMode, Engines: []string{"onnxruntime"}, Least: .4, Agreement: .97,
		Check: func(context.Context, string, *Report) error { // of AP50, which is content
			asked = true
			return nil
		},
	}
	r := &Report{Mode: GeneralMode, AP50: [2]float64{.9, .5}, Proofs: 1} // of another network, refused before
	err := finish(t.Context(), c, r, m, frames, log)
	if r.AP50[0] != 0 || r.Proofs != 2 || len(r.Engines) != 1 {
		t.Errorf("after %d proofs AP50 is %v", r.Proofs, r.AP50)
	}
	if !errors.Is(err, ErrBudget) || errors.Is(err, ErrFewBoxes) || asked || r.Passed || r.Engines[0].Agreement.Recall > .9 || r.Engines[0].Agreement.Precision < .97 {
		t.Errorf("got %v, AP50 was asked for: %t: %+v", err, asked, r.Engines)
	}
	if left, _ := os.ReadDir(filepath.Dir(c.Out)); len(left) != 0 {
		t.Errorf("written: %v", left)
	}
	e := r.Examples
	if len(e) != 4 || e[0].Differ == 0 || len(e[0].jpeg) < 1000 || len(e[0].Original) <= len(e[0].Made) {
		t.Errorf("examples %+v", e)
	}
	r.Learned, r.AP50, r.AP50All = 4, [2]float64{.9, .89}, [2]float64{.88, .87}
	var page strings.Builder
	if err := r.Page(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`class="alone"`, "data:image/jpeg;base64,/9j/", "judged 2 networks", "90.00\u00a0% → 89.00\u00a0% on frames that nothing was learned from, 88.00\u00a0% → 87.00\u00a0% on all"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// A picture or two on which there is something to see prove nothing, in no mode, and
// are refused before anything is made of them, with what to do.
func TestGateWantsBoxes(t *testing.T) {
	model, frames := gateKit(t)
	log := slog.New(slog.DiscardHandler)
	c := Config{Model: model, Out: filepath.Join(t.TempDir(), "out.onnx"), Mode: ExactMode, Engines: []string{plainEngine}, Least: .4}
	r := &Report{Mode: ExactMode}
	err := finish(t.Context(), c, r, readGraph(t, model), frames[:1], log)
	if n := r.Engines[0].Agreement.Boxes; n == 0 || n >= leastBoxes {
		t.Fatalf("%d boxes are no case of few", n)
	}
	few := func(err error, reason string) bool {
		return errors.Is(err, ErrBudget) && strings.Contains(reason, "finds only ") && strings.Contains(reason, "give more pictures, busier ones, or a lower score")
	}
	if !few(err, r.Reason) || isThere(c.Out) {
		t.Errorf("got %v: %+v", err, r)
	}
	c.Mode, c.Agreement = GeneralMode, .5
	quiet := sceneFrames(t, 1, leastSplit) // the first frames: some people, the same all the time
	c.Classes = []string{"car"}
	for _, mode := range []string{GeneralMode, SceneMode} {
		c.Mode = mode
		r, err := Run(t.Context(), c, quiet, log)
		if !errors.Is(err, ErrBudget) || !errors.Is(err, ErrFewBoxes) || err.Error() != r.Reason || !strings.Contains(r.Reason, "20 or more are a proof") || len(r.Engines) != 0 || len(r.Tried) != 0 || isThere(c.Out) {
			t.Errorf("%s: %v, %+v", mode, err, r)
		}
		var page strings.Builder
		if err := r.Page(&page); err != nil || !strings.Contains(page.String(), "Not usable") {
			t.Errorf("page: %v", err)
		}
	}
	c.Mode = ExactMode
	if err := enough(t.Context(), c, r, "416x416", quiet[:1], log); !errors.Is(err, ErrBudget) {
		t.Errorf("of one picture: %v", err)
	}
}

func TestAgreement(t *testing.T) {
	box := func(class string, score, x float64) detect.Detection {
		return detect.Detection{Class: class, Score: score, Box: detect.Rect{X: x, Y: .1, W: .2, H: .2}}
	}
	was := []detect.Detection{box("person", .9, .1), box("person", .5, .5), box("car", .3, .7)}
	for name, c := range map[string]struct {
		is      []detect.Detection
		want    Agreement
		exactly bool
	}{
		"the same":         {was, Agreement{Recall: 1, Precision: 1, Boxes: 3}, true},
		"one is missing":   {was[:2], Agreement{Recall: 2. / 3, Precision: 1, Boxes: 3}, false},
		"one too many":     {append(was[:3:3], box("car", .3, .2)), Agreement{Recall: 1, Precision: .75, Boxes: 3}, false},
		"another class":    {append(was[:2:2], box("bus", .3, .7)), Agreement{Recall: 2. / 3, Precision: 2. / 3, Boxes: 3}, false},
		"moved a little":   {append(was[:2:2], box("car", .3, .71)), Agreement{Recall: 1, Precision: 1, Boxes: 3, Shift: .01}, false},
		"rounded":          {append(was[:2:2], box("car", .30001, .70001)), Agreement{Recall: 1, Precision: 1, Boxes: 3, Shift: 1e-5, Score: 1e-5}, true},
		"new at the least": {append(was[:3:3], box("car", .05, .2)), Agreement{Recall: 1, Precision: 1, Boxes: 3}, true},
	} {
		got := agreement([][]detect.Detection{was}, [][]detect.Detection{c.is}, .05)
		near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
		if !near(got.Recall, c.want.Recall) || !near(got.Precision, c.want.Precision) || got.Boxes != c.want.Boxes ||
			!near(got.Shift, c.want.Shift) || !near(got.Score, c.want.Score) || got.Exactly() != c.exactly {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
