package optimize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"sightline/detect/onnx"
	"sightline/detect/optimize/graph"
	"sightline/detect/optimize/quantize"
)

// lowering puts one network into integers, and finds out which of its convolutions
// have to stay in floats. Ranges and weights are learned from some pictures, the choice
// is made on others.
type lowering struct {
	ctx     context.Context
	c       Config
	shape   onnx.Shape
	parts   division
	witness *witness // of the pictures to choose by

	pictures quantize.Pictures // to learn from

	float    *graph.Model // with channels of like size
	spans    map[string]quantize.Span
	convs    []string // that can compute in integers
	ranked   []string // the same, in the order in which they return to floats
	scaled   int      // convolutions whose channels were
	tried    []string // what did not agree
	progress func(step string, done, of int)
}

// lowered is a network with some of its convolutions in integers.
type lowered struct {
	model *graph.Model
	step  Step
	kept  []string // convolutions in floats that could be in integers
	agree Agreement
}

func (l *lowered) agrees(need float64) bool {
	return min(l.agree.Recall, l.agree.Precision) >= need
}

// errNoIntegers says that there is nothing to put into integers.
var errNoIntegers = errors.New("it has no convolution with constant weights and inputs of known size that could compute in integers")

// formFor is what an engine computes fastest.
func formFor(engine string) quantize.Form {
	if engine == "openvino" {
		return quantize.AroundConvolutions
	}
	return quantize.Everywhere
}

// newLowering learns the ranges of a simplified network, which it does not change.
func newLowering(ctx context.Context, c Config, m *graph.Model, in onnx.Input, shape onnx.Shape, parts division) (*lowering, error) {
	const byChannel = 13 // the version of ONNX's operators in which DequantizeLinear has an axis
	if v := m.Opset(); v < byChannel {
		return nil, fmt.Errorf("its operators are those of ONNX version %d, and integers want %d or later: export it again with a newer one", v, byChannel)
	}
	l := &lowering{ctx: ctx, c: c, shape: shape, parts: parts, progress: c.Progress}
	l.pictures = quantize.Pictures{Input: in, Shape: shape, Frames: parts.learn, LibDirs: c.LibDirs}
	if l.progress == nil {
		l.progress = func(string, int, int) {}
	}
	l.progress("learning the ranges of values", 0, 0)
	var err error
	if l.float, err = graph.Read(m.Write()); err != nil {
		return nil, err
	}
	p := l.plan(l.float.Graph, nil)
	if len(p.Convs) == 0 {
		return nil, errNoIntegers
	}
	for _, n := range l.float.Graph.Nodes {
		if p.Convs[n] {
			l.convs = append(l.convs, n.Outputs[0])
		}
	}
	inFloats := func(n *graph.Node) bool { return !p.Convs[n] }
	if l.scaled, err = l.pictures.Equalize(ctx, l.float, inFloats); err != nil {
		return nil, fmt.Errorf("make channels alike: %w", err)
	}
	if l.spans, err = l.pictures.Ranges(ctx, l.float, p.Values); err != nil {
		return nil, fmt.Errorf("look at the values inside: %w", err)
	}
	return l, nil
}

// called calls the witness.
func (l *lowering) called(log *slog.Logger) (err error) {
	if l.witness, err = newWitness(l.ctx, l.c, l.shape.String(), l.parts.choose, log); err != nil {
		return err
	}
	return l.witness.learn(l.parts.learn)
}

// plan keeps some convolutions in floats, and always those that make the outputs:
// their small differences decide about scores.
func (l *lowering) plan(g *graph.Graph, floats []string) quantize.Plan {
	return quantize.PlanFor(g, formFor(l.c.Engines[0]), g.Shapes(l.shape.Width, l.shape.Height), func(n *graph.Node) bool {
		return quantize.MakesOutput(g, n) || slices.Contains(floats, n.Outputs[0])
	})
}

// quantized is the network with some convolutions in floats and nothing fitted to that.
func (l *lowering) quantized(floats []string) (*graph.Model, quantize.Plan, error) {
	m, err := graph.Read(l.float.Write())
	if err != nil {
		return nil, quantize.Plan{}, err
	}
	p := l.plan(m.Graph, floats)
	quantize.Mark(m.Graph, p, l.spans)
	return m, p, nil
}

// make is the network with some convolutions in floats, the last ones fitted to what
// reaches them then.
func (l *lowering) make(floats []string) (*lowered, error) {
	m, p, err := l.quantized(floats)
	if err != nil {
		return nil, err
	}
	if _, err := l.pictures.Refit(l.ctx, l.float, m); err != nil {
		return nil, fmt.Errorf("fit the last convolutions: %w", err)
	}
	which := "all but the last convolutions compute"
	if len(floats) > 0 {
		sorted := slices.DeleteFunc(slices.Clone(l.convs), func(conv string) bool { return !slices.Contains(floats, conv) })
		which = "all but the last convolutions and " + strings.Join(sorted, ", ") + " compute"
	}
	made := &lowered{model: m, kept: floats, step: Step{Name: "integers", Count: len(p.Convs), Detail: fmt.Sprintf(
		"%s in 8-bit integers, marked %s; %d convolutions were scaled for it", which, p.Form, l.scaled)}}
	if l.witness != nil {
		made.agree, err = l.witness.agrees(m)
	}
	return made, err
}

// rank orders the convolutions by how much agreement the network loses when that one
// alone is in integers, for the time that floats cost there. What several lose adds up
// as the squares do, as they do not know of each other.
func (l *lowering) rank() error {
	if l.ranked != nil {
		return nil
	}
	frames := some(l.witness.frames, 8)
	plain, err := l.witness.ask(l.float, frames)
	if err != nil {
		return err
	}
	known := l.float.Graph.Shapes(l.shape.Width, l.shape.Height)
	harm := map[string]float64{}
	for i, conv := range l.convs {
		l.progress("measuring what integers do to each convolution", i, len(l.convs))
		m, _, err := l.quantized(slices.DeleteFunc(slices.Clone(l.convs), func(other string) bool { return other == conv }))
		if err != nil {
			return err
		}
		found, err := l.witness.ask(m, frames)
		if err != nil {
			return fmt.Errorf("measure what integers do to %s: %w", conv, err)
		}
		alike := expected(plain, found, l.witness.scores, l.c.Least)
		off := 2 - alike.Recall - alike.Precision
		harm[conv] = off * off / lost(l.float.Graph.Conv(l.float.Graph.Maker(conv)), known)
	}
	l.progress("measuring what integers do to each convolution", len(l.convs), len(l.convs))
	l.ranked = slices.Clone(l.convs)
	slices.SortStableFunc(l.ranked, func(a, b string) int { return cmp.Compare(harm[b], harm[a]) })
	return nil
}

// lost is the time that a convolution takes longer in floats, in multiply-adds of
// floats: two thirds of its own, and what it takes to call what makes integers into
// floats and back, and to do that. It is reckoned, not timed, so that the choice is the same at any time.
func lost(c *graph.Conv, known map[string][]int64) float64 {
	const perValue, each = 26, 1_000_000 // multiply-adds that take as long
	x, y := known[c.Node.Inputs[0]], known[c.Node.Outputs[0]]
	if len(x) != 4 || len(y) != 4 {
		return 1
	}
	in, out := float64(x[1]*x[2]*x[3]), float64(y[1]*y[2]*y[3])
	return float64(c.Weights.Len())*float64(y[2]*y[3])*2/3 + perValue*(in+out) + each
}

// agrees tells whether a network keeps an agreement on the pictures to choose by, and
// notes when it does not.
func (l *lowering) agrees(made *lowered, need float64) bool {
	if made.agrees(need) {
		return true
	}
	l.tried = append(l.tried, fmt.Sprintf("%s: to choose by, recall %.4f, precision %.4f", made.step.Detail, made.agree.Recall, made.agree.Precision))
	return false
}

// fewest is the network with the fewest convolutions in floats, more than so many, that
// agrees as it has to on the pictures to choose by: twice as many more are tried each
// time, at most half of all, and then, where it began with none, whether some can go
// back. Where half of them does not agree either, it is returned for the gate to say so.
func (l *lowering) fewest(more int, need float64) (*lowered, error) {
	most, first := max(len(l.convs)/2, more), more == 0
	for gap := 1; ; gap *= 2 {
		if more > 0 {
			if err := l.rank(); err != nil {
				return nil, err
			}
		}
		l.progress("choosing what stays in floats", more, most)
		made, err := l.make(l.ranked[:more])
		switch {
		case err != nil:
			return nil, err
		case l.agrees(made, need) && first:
			return l.without(made, need)
		case more == most || made.agrees(need):
			return made, nil
		}
		more = min(more+gap, most)
	}
}

// besides are so many convolutions to keep in floats, on top of those that a network
// keeps already.
func (l *lowering) besides(made *lowered, more int) (int, error) {
	err := l.rank()
	rest := slices.DeleteFunc(slices.Clone(l.ranked), func(conv string) bool { return slices.Contains(made.kept, conv) })
	l.ranked = slices.Concat(made.kept, rest)
	return min(len(made.kept)+more, len(l.convs)/2), err
}

// without puts those convolutions back into integers that the agreement does not need
// in floats, the ones that matter least first.
func (l *lowering) without(best *lowered, need float64) (*lowered, error) {
	const tries = 8
	kept := best.kept
	for i, conv := range slices.Backward(kept) {
		if len(best.kept) == 1 || i < len(kept)-tries {
			break
		}
		made, err := l.make(slices.DeleteFunc(slices.Clone(best.kept), func(one string) bool { return one == conv }))
		if err != nil {
			return nil, err
		}
		if l.agrees(made, need) {
			best = made
		}
	}
	return best, nil
}
