package optimize

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
)

// A scene ends where another stream or another video begins.
func TestScenes(t *testing.T) {
	var frames []*decode.Frame
	for _, f := range []decode.Frame{{Index: 1}, {Index: 6}, {Index: 1}, {Index: 2}, {Index: 2}, {Stream: "b", Index: 3}, {Stream: "a", Index: 4}} {
		frames = append(frames, &f)
	}
	var sizes []int
	for _, s := range scenes(frames) {
		sizes = append(sizes, len(s))
	}
	if !slices.Equal(sizes, []int{2, 3, 1, 1}) {
		t.Errorf("scenes of %v pictures", sizes)
	}
}

// With one scene, too few pictures of one, or operators too old, nothing goes, nothing
// is run, and the report says why.
func TestLightWantsScenes(t *testing.T) {
	for _, c := range []struct {
		why     string
		version int64
		counts  []uint64
	}{{"of one scene", 17, []uint64{40}}, {"8 pictures", 17, []uint64{40, leastSeen - 1}}, {"version 9", 9, []uint64{40, 40}}} {
		m := &graph.Model{Opsets: []graph.Opset{{Version: c.version}}, Graph: &graph.Graph{}}
		var frames []*decode.Frame
		for _, n := range c.counts {
			for i := range n {
				frames = append(frames, &decode.Frame{Index: i + 1})
			}
		}
		got, step, err := light(t.Context(), Config{}, m, onnx.Input{}, onnx.Shape{}, frames, slog.New(slog.DiscardHandler))
		if got != m || step.Count != 0 || !strings.Contains(step.Detail, c.why) || err != nil {
			t.Errorf("%s: %+v, %v", c.why, step, err)
		}
	}
}

// What goes for two scenes agrees nearly wholly in each, and where nothing may be lost
// nothing goes. One group of a real network is measured.
func TestLight(t *testing.T) {
	c := sceneConfig(t)
	c.Agreement, c.Work = .8, t.TempDir() // of one picture's boxes one may come
	frames := sceneFrames(t, 40, 10)
	s := specialistFor(t, c, frames)
	s.gentle = true
	group := groupOf(t, s.net, "conv_29") // little is behind it
	measured, err := s.measure([]int{group})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(measured[group].Losses); n != 2 {
		t.Errorf("%d marks were measured", n)
	}
	held := [][]*decode.Frame{s.check[:2], s.check[2:]}
	made, err := s.lightest(measured, held)
	if err != nil || made == nil {
		t.Fatalf("nothing goes: %v", err)
	}
	if left := made.q.left(made.at); left >= 1 || left < lightLeast || made.q.gone(made.at) == 0 {
		t.Errorf("%v of the arithmetic is left", left)
	}
	if ok, err := s.agreesInAll(made.model, held); !ok || err != nil {
		t.Errorf("it does not agree: %v", err)
	}
	if ok, err := s.agreesInAll(made.model, held[:1]); ok || err != nil {
		t.Errorf("one scene proves something: %v", err)
	}
	s.c.Agreement = 1.0001 // which nothing keeps
	if made, err := s.lightest(measured, held); made != nil || err != nil {
		t.Errorf("with no budget %+v, %v", made, err)
	}
}
