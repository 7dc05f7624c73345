package optimize

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/graph/graphtest"
	"sightline/detect/optimize/prune"
	"sightline/internal/testkit"
)

// sceneConfig is of the default network and six of its classes.
func sceneConfig(t *testing.T) Config {
	return Config{
		Model: testkit.Dep(t, "models/coco-nano.onnx"), Out: filepath.Join(t.TempDir(), "scene.onnx"), Mode: SceneMode, Fit: true,
		Classes: []string{"person", "bicycle", "car", "motorcycle", "bus", "truck"}, Engines: []string{plainEngine},
		Least: 0.4, Agreement: 0.95, Stream: "gate", Bind: "abc",
		LibDirs: []string{filepath.Dir(testkit.Dep(t, "onnxruntime/lib/libonnxruntime.so")), filepath.Dir(testkit.Dep(t, "openvino/lib/libopenvino_c.so"))},
	}
}

func sceneFrames(t *testing.T, every, limit int) []*decode.Frame {
	frames, err := Frames(t.Context(), testkit.Dep(t, "media/vtest.avi"), every, limit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Release(frames) })
	return frames
}

// specialistFor is what scene would begin with.
func specialistFor(t *testing.T, c Config, frames []*decode.Frame) *specialist {
	spec, err := onnx.ReadSpec(c.Model)
	if err != nil {
		t.Fatal(err)
	}
	m := readGraph(t, c.Model)
	for key, value := range spec.Metadata() {
		m.SetMeta(key, value)
	}
	shape := spec.Input.Fitted(frames[0].Width, frames[0].Height)
	m.SetMeta("size", "[320, 416]")
	if _, err := simplified(m, c.Classes); err != nil {
		t.Fatal(err)
	}
	parts := divide(frames)
	learn := slices.Concat(parts.learn, parts.choose)
	s := &specialist{ctx: t.Context(), c: c, r: &Report{Mode: c.Mode}, in: spec.Input, shape: shape, log: slog.New(slog.DiscardHandler), learn: learn, known: learn, check: parts.prove, prove: parts.prove}
	s.work = newWorkdir(c.Work, "test")
	if err := s.quiet(m); err != nil {
		t.Fatal(err)
	}
	s.trace()
	return s
}

// groupOf is the group that a convolution makes.
func groupOf(t *testing.T, n *prune.Net, name string) int {
	at := slices.IndexFunc(n.Groups, func(g prune.Group) bool { return g.Name == name })
	if at < 0 {
		t.Fatalf("no group %s: %s", name, n.Describe())
	}
	return at
}

// Two groups of a real network are taken through all steps: what is written agrees
// as it was asked to, has less to compute, lost the heads that never fire, and is
// bound to its stream. What was kept in between is found again, and a budget that
// nothing could keep is refused.
func TestScene(t *testing.T) {
	c := sceneConfig(t)
	c.Work, c.Agreement = t.TempDir(), 0.75 // of what six pictures can teach
	c.Stages = true
	frames := sceneFrames(t, 30, 12)
	s := specialistFor(t, c, frames)
	if err := s.turn(); err != nil {
		t.Fatal(err)
	}
	groups := []int{groupOf(t, s.net, "conv_12"), groupOf(t, s.net, "conv_29")} // little is behind them
	measured, err := s.measure(groups)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range groups {
		if l := measured[i].Losses; len(l) != 3 || l[0].Loss <= 0 || l[2].Loss <= l[0].Loss || l[2].Loss > .5 {
			t.Errorf("%s: %+v", s.net.Groups[i].Name, l)
		}
	}
	turned(t, s, groups[0])
	steps := s.net.Plan(measured, s.block(), lanes)
	last := len(steps) / 2 // a sixth of the arithmetic is gone
	q := &series{specialist: s, plan: steps, measured: measured}
	if q.jury, err = s.newJury(s.check, plainEngine, "", c.Least-Tolerance); err != nil {
		t.Fatal(err)
	}
	made, err := q.make(last)
	if err != nil {
		t.Fatal(err)
	}
	plain := func() Agreement { // the same without weights that make up for it
		left, err := s.net.Apply(s.net.Without(measured, steps[last].Counts), nil, true)
		if err != nil {
			t.Fatal(err)
		}
		m := *s.m
		m.Graph = left
		found, err := q.jury.ask(&m, s.shape)
		if err != nil {
			t.Fatal(err)
		}
		return agreement(q.jury.original, found, c.Least)
	}()
	if !made.passes() || min(plain.Recall, plain.Precision) >= min(made.agree.Recall, made.agree.Precision) {
		t.Errorf("%d boxes: fitted %+v, not fitted %+v", made.agree.Boxes, made.agree, plain)
	}
	alone := *s
	alone.work = ""
	processors := runtime.GOMAXPROCS(1)
	again, err := (&series{specialist: &alone, plan: steps}).refitted(last, s.net.Without(measured, steps[last].Counts))
	runtime.GOMAXPROCS(processors)
	if err != nil || !sameGraph(again, made.plain.Graph) {
		t.Errorf("made once more, on one processor, it is another network: %v", err)
	}
	for part, want := range map[float64]string{352. / 416: "352x288", 320. / 416: "320x256"} {
		if got := q.scaled(part).String(); got != want {
			t.Errorf("a smaller input is %s, not %s", got, want)
		}
	}
	if err := made.tell(); err != nil {
		t.Fatal(err)
	}
	for _, step := range s.r.Steps {
		if a := step.After; a == nil || a.Speedup <= 0 || a.Agreement.Boxes < 20 || step.Name == "channels" && a.MACs >= s.r.Steps[0].After.MACs {
			t.Errorf("after %s: %+v", step.Name, a)
		}
	}
	if err := finish(t.Context(), c, s.r, made.model, s.check, s.log); err != nil {
		t.Fatal(err)
	}
	p, err := ReadProvenance(c.Out)
	if err != nil || p.Stream != "gate" || p.Bind != "abc" || !slices.Contains(p.Steps, "heads") || !slices.Contains(p.Steps, "channels") {
		t.Errorf("%+v, %v", p, err)
	}
	spec, err := onnx.ReadSpec(c.Out)
	if err != nil || spec.Family != "nanodet" {
		t.Errorf("%+v, %v", spec, err)
	}
	s.learn, s.known = make([]*decode.Frame, len(s.learn)), nil // nothing is learned again
	known, err := s.measure(groups)
	if err != nil || !slices.Equal(known[groups[0]].Order, measured[groups[0]].Order) {
		t.Errorf("what was kept is not found: %v", err)
	}
	if kept, err := q.refitted(last, nil); err != nil || !sameGraph(kept, made.plain.Graph) {
		t.Errorf("the network that was kept is another one: %v", err)
	}
	q.c.Agreement = 1.01
	s.r.Engines = nil
	if err := finish(t.Context(), q.c, s.r, made.model, s.check[:2], s.log); !errors.Is(err, ErrBudget) {
		t.Errorf("a budget that cannot be kept: %v", err)
	}
}

// turned checks that channels became others that compute the same, that this is told,
// and that who goes on later meets the same ones.
func turned(t *testing.T, s *specialist, group int) {
	t.Helper()
	if !s.net.Linear(s.net.Groups[group]) || s.r.Steps[len(s.r.Steps)-1].Name != "turned" {
		t.Errorf("nothing was turned: %+v", s.r.Steps)
	}
	j, err := s.newJury(s.check, plainEngine, "f32", .05)
	if err != nil {
		t.Fatal(err)
	}
	found, err := j.ask(s.m, s.shape)
	if a := agreement(j.original, found, .05); err != nil || a.Recall < 1 || a.Precision < 1 || a.Score > 1e-3 || a.Score == 0 {
		t.Errorf("with other channels it sees otherwise: %+v, %v", a, err)
	}
	later := *s
	later.m, later.known = s.m, nil
	if err := later.turn(); err != nil || !sameGraph(later.m.Graph, s.m.Graph) {
		t.Errorf("what was turned is not found: %v", err)
	}
}

func sameGraph(a, b *graph.Graph) bool {
	return bytes.Equal((&graph.Model{Graph: a}).Write(), (&graph.Model{Graph: b}).Write())
}

// Pictures too few to learn from, and networks of operators too old, are refused.
func TestSceneRefuses(t *testing.T) {
	b := graphtest.New(2)
	b.Conv()
	m := b.Model()
	log := slog.New(slog.DiscardHandler)
	err := scene(t.Context(), Config{}, &Report{}, m, onnx.Input{}, onnx.Shape{}, make([]*decode.Frame, 3), log)
	if err == nil || !strings.Contains(err.Error(), "too few") {
		t.Error(err)
	}
	m.Opsets[0].Version = 9
	err = scene(t.Context(), Config{}, &Report{}, m, onnx.Input{}, onnx.Shape{}, make([]*decode.Frame, 30), log)
	if err == nil || !strings.Contains(err.Error(), "version 9") {
		t.Error(err)
	}
}

// What is fitted to all pictures in the end is not taken for what was fitted to some
// of them on the way, when there are as many of each.
func TestSceneFitsToAllInTheEnd(t *testing.T) {
	frames := make([]*decode.Frame, 2*mostLearned)
	for i := range frames {
		frames[i] = &decode.Frame{Index: uint64(i)}
	}
	s := &specialist{learn: frames[:mostLearned], known: frames[mostLearned:]}
	some := &series{specialist: s}
	all := some.fittedToAll()
	if all.learn[0] != s.known[0] || some.learn[0] != frames[0] {
		t.Errorf("fitted to pictures %d, before to %d", all.learn[0].Index, some.learn[0].Index)
	}
	if some.kept(7) == all.kept(7) || all.kept(7) != all.fittedToAll().kept(7) || all.kept(7) == all.kept(8) {
		t.Errorf("%s is kept, and then %s", some.kept(7), all.kept(7))
	}
}

type noGauge float64

func (g noGauge) distance(*graph.Model) (float64, error) { return float64(g), nil }

// Channels that would leave nothing of a value, though much of their group, stay; what
// makes no numbers anymore is a loss like any other, and can be kept.
func TestSceneLeavesSomethingOfAllValues(t *testing.T) {
	b := graphtest.Begin(1, 1)
	name := b.Layer("images", 3, 64, 1, 8, 1)
	p := b.Parts(name, 1, 32, 32)
	b.Layer(b.Op("Concat", []string{b.Op("Sigmoid", p[:1]), p[1]}, graphtest.Axis(1)), 64, 4, 1, 1, 1)
	weights := b.Graph.Tensors[b.Graph.Nodes[len(b.Graph.Nodes)-1].Inputs[1]]
	values := weights.Float32s()
	for i := range values {
		if i%64 < 32 {
			values[i] = 0 // those go first
		}
	}
	b.Graph.Tensors[weights.Name] = graph.NewFloat32(weights.Name, weights.Dims, values)
	m := b.File(t, []int64{1, 4, graphtest.Pixels / 8, graphtest.Pixels / 8})
	s := &specialist{ctx: t.Context(), m: m, net: prune.Trace(m.Graph, m.Graph.Shapes(graphtest.Pixels, graphtest.Pixels))}
	g := s.net.Groups[groupOf(t, s.net, name)]
	c := s.net.Consumers(g)[0]
	moments := make(prune.Moments, 65*65)
	for i := range 65 {
		moments[i*66] = 1
	}
	inverse, err := c.Invert(moments)
	if err != nil {
		t.Fatal(err)
	}
	for _, loss := range []float64{.1, math.NaN(), math.Inf(1)} {
		measured, err := s.group(g, map[string]*prune.Inverse{c.Name: inverse}, noGauge(loss))
		if err != nil || len(measured.Losses) != 1 || measured.Losses[0].Count != lanes || !measured.Fits(g) || len(marshal(measured)) == 0 {
			t.Errorf("%+v, %v", measured, err)
		}
	}
}

// Layers whose moments would take too much memory stay as they are, one by one or
// because too many use the same channels; the others are fitted a few at a time.
func TestSceneMemoryIsBounded(t *testing.T) {
	b := graphtest.Begin(1, 1)
	wide, shared, few := b.Layer("images", 3, 1024, 1, 8, 1), b.Layer("images", 3, 512, 1, 8, 1), b.Layer("images", 3, 512, 1, 8, 1)
	all := []string{b.Layer(wide, 1024, 1, 3, 1, 1)}
	for range 4 {
		all = append(all, b.Layer(shared, 512, 1, 3, 1, 1))
	}
	all = append(all, b.Layer(few, 512, 1, 3, 1, 1))
	b.Op("Concat", all, graphtest.Axis(1))
	m := b.File(t, []int64{1, 6, graphtest.Pixels / 8, graphtest.Pixels / 8})
	s := &specialist{net: prune.Trace(m.Graph, m.Graph.Shapes(graphtest.Pixels, graphtest.Pixels))}
	for name, want := range map[string]bool{wide: false, shared: false, few: true} {
		if got := s.narrow(s.net.Groups[groupOf(t, s.net, name)]); got != want {
			t.Errorf("%s is measured: %v", name, got)
		}
	}
	fitted := 0
	for _, part := range s.bounded(s.net.Convs()) {
		room := 0
		for _, c := range part {
			room += c.Room(s.sampling(positions))
		}
		if fitted += len(part); room > maxRoom || len(part) == 0 {
			t.Errorf("%d convolutions take %d", len(part), room)
		}
	}
	if fitted != len(s.net.Convs())-1 {
		t.Errorf("%d convolutions are fitted", fitted)
	}
}

// What would take days is refused at once, however small its layers are; what takes
// minutes is not.
func TestSceneTimeIsBounded(t *testing.T) {
	for layers, most := range map[int]float64{30: 1e13, 5000: 0} {
		b := graphtest.Begin(1, 1)
		x := b.Layer("images", 3, 32, 1, 8, 1)
		weights := b.Graph.Nodes[0].Inputs[1:]
		weights[0] = b.Constant([]int64{32, 32, 1, 1}, b.Values(1024))
		b.Graph.Nodes[0].Inputs = []string{"images", b.Constant([]int64{32, 3, 1, 1}, b.Values(96)), weights[1]}
		for range layers {
			x = b.Op("Relu", []string{b.Op("Conv", append([]string{x}, weights...), graphtest.Ints("kernel_shape", 1, 1))})
		}
		m := b.File(t, []int64{1, 32, graphtest.Pixels / 8, graphtest.Pixels / 8})
		s := &specialist{m: m, known: make([]*decode.Frame, 40)}
		s.net = prune.Trace(m.Graph, m.Graph.Shapes(graphtest.Pixels, graphtest.Pixels))
		err := s.affordable()
		if most > 0 && (err != nil || s.effort() > most || s.effort() < most/1000) {
			t.Errorf("%d layers are %g multiply-adds: %v", layers, s.effort(), err)
		}
		if most == 0 && (err == nil || !strings.Contains(err.Error(), "hours")) {
			t.Errorf("%d layers are %g multiply-adds, and not refused: %v", layers, s.effort(), err)
		}
	}
}

// Whatever a file holds, channels are followed or left alone; without some of them
// the network is still one that can be read.
func FuzzPrune(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(graphtest.Random(rand.New(rand.NewPCG(seed, 1))).Write(), uint64(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		m, err := graph.Read(data)
		if err != nil || len(m.Graph.Nodes) > 200 {
			return
		}
		n := prune.Trace(m.Graph, m.Graph.Shapes(64, 64))
		rng := rand.New(rand.NewPCG(seed, 2))
		without := prune.Set{}
		for _, g := range n.Groups {
			n.Linear(g)
			for _, k := range rng.Perm(len(g.Classes))[1:] {
				without[g.Classes[k]] = rng.IntN(2) == 0
			}
		}
		left, err := n.Apply(without, nil, seed%2 == 0)
		if err != nil {
			return
		}
		if _, err := graph.Read((&graph.Model{Graph: left}).Write()); err != nil {
			t.Fatal(err)
		}
		n.Waves(without)
		if n.MACs(without) > n.MACs(nil) {
			t.Fatal("it has more to compute without channels")
		}
	})
}
