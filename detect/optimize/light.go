package optimize

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"sightline/decode"
	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/prune"
)

// Bounds of pruning for many scenes.
const (
	leastScenes  = 2   // one scene alone says nothing about others
	leastSeen    = 9   // pictures of each, of which a third is held back
	leastLearned = 2   // of those of each, however many scenes there are
	lightLeast   = 0.8 // of the arithmetic stays in any case
	lightTries   = 3
)

// general takes away what no scene needs, and computes in 8-bit integers what that
// does not harm; where the gate refuses it, or it cannot be found out, all channels stay.
// The report says which it was.
func general(ctx context.Context, c Config, r *Report, m *graph.Model, in onnx.Input, shape onnx.Shape, parts division, log *slog.Logger) error {
	slim, step, err := light(ctx, c, m, in, shape, parts.learn, log)
	switch had := r.Steps; {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		log.Warn("no channels are taken away", "reason", err)
		step = allStay("%v", err)
	case step.Count > 0:
		r.Steps = append(slices.Clone(had), step)
		if err := noted(ctx, c, r, slim, shape, parts.prove, log); err != nil {
			return err
		}
		if err := inIntegers(ctx, c, r, slim, in, shape, parts, 1, log); !again(err) {
			return err
		}
		r.Tried = append(r.Tried, step.Detail+": "+r.Reason)
		r.Steps, step = had, allStay("the network with fewer did not pass")
	}
	r.Steps = append(r.Steps, step)
	return inIntegers(ctx, c, r, m, in, shape, parts, mostProofs-r.Proofs, log)
}

// allStay is the step of light pruning that took nothing away.
func allStay(why string, of ...any) Step {
	return Step{Name: "channels", Detail: "all stay: " + fmt.Sprintf(why, of...)}
}

// light takes away channels that no scene among the pictures needs: of its budget,
// in agreement, at most a third may be lost in any of them, on pictures that were
// held back. Where there are fewer than two scenes, or nothing can go at that price,
// it returns m and a step of no count that says why. It takes a minute or so for
// small networks.
func light(ctx context.Context, c Config, m *graph.Model, in onnx.Input, shape onnx.Shape, frames []*decode.Frame, log *slog.Logger) (*graph.Model, Step, error) {
	all := scenes(frames)
	switch v := m.Opset(); {
	case len(all) < leastScenes:
		return m, allStay("the pictures are of one scene; with a video of another besides, what neither needs may go"), nil
	case v < leastVersion:
		return m, allStay("its operators are those of ONNX version %d, and pruning wants %d or later", v, leastVersion), nil
	}
	c.Integers, c.Work = false, ""
	s := &specialist{ctx: ctx, c: c, r: &Report{}, in: in, shape: shape, log: log, m: m, gentle: true}
	held := make([][]*decode.Frame, len(all))
	for i, scene := range all {
		if len(scene) < leastSeen {
			return m, allStay("of a scene there are %d pictures to learn from, and it takes %d: give four times as many of each video", len(scene), leastSeen), nil
		}
		var learn []*decode.Frame
		for k, f := range scene {
			if k%3 == 1 {
				held[i] = append(held[i], f)
			} else {
				learn = append(learn, f)
			}
		}
		s.learn = append(s.learn, some(learn, max(leastLearned, mostLearned/len(all)))...)
	}
	s.known = s.learn
	s.trace()
	if err := s.affordable(); err != nil {
		return m, Step{}, err
	}
	groups := make([]int, len(s.net.Groups))
	for i := range groups {
		groups[i] = i
	}
	measured, err := s.measure(groups)
	if err != nil {
		return m, Step{}, fmt.Errorf("measure what channels are needed for: %w", err)
	}
	made, err := s.lightest(measured, held)
	if err != nil {
		return m, Step{}, fmt.Errorf("take away what no scene needs: %w", err)
	}
	if made == nil {
		return m, allStay("without any of them it would see too much otherwise in one of %d scenes", len(all)), nil
	}
	return made.model, Step{Name: "channels", Count: made.q.gone(made.at), Detail: fmt.Sprintf(
		"%.0f %% of the arithmetic is left; what went was needed in none of %d scenes", 100*made.q.left(made.at), len(all))}, nil
}

// scenes are frames that follow each other: a new one begins with another stream, or
// where a video begins anew.
func scenes(frames []*decode.Frame) (all [][]*decode.Frame) {
	for i, f := range frames {
		if i == 0 || f.Stream != frames[i-1].Stream || f.Index < frames[i-1].Index {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], f)
	}
	return all
}

// lightest tries networks that lose less and less until one agrees in all scenes;
// nil where none does.
func (s *specialist) lightest(measured []prune.Measured, held [][]*decode.Frame) (*candidate, error) {
	q := &series{specialist: s, plan: s.net.Plan(measured, s.block(), lanes), measured: measured}
	at := q.step(lightLeast)
	for i := 0; i < lightTries && at > 0; i++ {
		s.progress("taking away what no scene needs", i, lightTries)
		c := &candidate{q: q, at: at}
		without := s.net.Without(measured, q.plan[at].Counts)
		left, err := q.refitted(at, without)
		if err != nil {
			return nil, err
		}
		m := *s.m
		m.Graph = left
		c.plain, c.model = &m, &m
		agrees, err := s.agreesInAll(c.model, held)
		if agrees || err != nil {
			return c, err
		}
		at = q.step(1 - (1-q.left(at))/2) // half of that
	}
	return nil, nil
}

// agreesInAll tells whether a network finds nearly the same in each scene.
func (s *specialist) agreesInAll(m *graph.Model, held [][]*decode.Frame) (bool, error) {
	least, seen := 1-(1-s.c.Agreement)/3, 0
	for _, frames := range held {
		j, err := s.newJury(frames, plainEngine, "f32", s.c.Least-Tolerance)
		if err != nil {
			return false, err
		}
		found, err := j.ask(m, s.shape)
		if err != nil {
			return false, err
		}
		a := agreement(j.original, found, s.c.Least)
		if a.Boxes > 0 {
			seen++
		}
		if min(a.Recall, a.Precision) < least {
			return false, nil
		}
	}
	return seen >= leastScenes, nil // what nothing was seen in proves nothing
}

// gone is how many channels a step of the plan takes away.
func (q *series) gone(at int) int { return len(q.net.Without(q.measured, q.plan[at].Counts)) }
