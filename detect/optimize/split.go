package optimize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sightline/decode"
)

// division are pictures in three parts that have none in common: what is learned must
// not be chosen by, and neither what was learned nor what was chosen be proved by, the
// same pictures.
type division struct {
	learn  []*decode.Frame // ranges and weights are fitted to
	choose []*decode.Frame // networks are compared on, to take one of them
	prove  []*decode.Frame // the gate judges by, and nothing else
}

// leastSplit is how few pictures can be split.
const leastSplit = 8

// divide keeps every other picture back for the gate; of the rest every other is for
// choosing. Which is which depends on the order alone.
func divide(frames []*decode.Frame) (s division) {
	for i, f := range frames {
		switch {
		case i%2 == 1:
			s.prove = append(s.prove, f)
		case i%4 == 2:
			s.choose = append(s.choose, f)
		default:
			s.learn = append(s.learn, f)
		}
	}
	return s
}

// noted is told in the report.
func (s division) noted(r *Report) {
	r.Pictures, r.Learned, r.Chosen = len(s.prove), len(s.learn), len(s.choose)
	for _, part := range [][]*decode.Frame{s.learn, s.choose} {
		for _, f := range part {
			r.known = append(r.known, f.Index)
		}
	}
}

// leastBoxes is how few boxes of the original prove nothing: of twenty, one more or
// less is five points of agreement.
const leastBoxes = 20

// enough refuses pictures on which the original finds too little, before minutes are
// spent on them.
func enough(ctx context.Context, c Config, r *Report, input string, frames []*decode.Frame, log *slog.Logger) error {
	w, err := newWitness(ctx, c, input, frames, log)
	if err != nil {
		return err
	}
	boxes := 0
	for _, found := range w.original {
		boxes += len(from(found, c.Least))
	}
	if r.Reason = tooFew(c.Engines[0], boxes); r.Reason != "" {
		return unproved(r.Reason)
	}
	return nil
}

// ErrFewBoxes says, besides ErrBudget, that on the pictures too little is to be seen to
// prove anything: others may do.
var ErrFewBoxes = errors.New("too few boxes are no proof")

// again tells whether a network that was refused may be followed by one that is not.
func again(err error) bool { return errors.Is(err, ErrBudget) && !errors.Is(err, ErrFewBoxes) }

// unproved is an ErrBudget, and ErrFewBoxes, of a network about which nothing is known.
type unproved string

func (u unproved) Error() string        { return string(u) }
func (u unproved) Is(target error) bool { return target == ErrBudget || target == ErrFewBoxes }

// tooFew says why so many boxes are no proof; "" where they are.
func tooFew(engine string, boxes int) string {
	if boxes >= leastBoxes {
		return ""
	}
	found := fmt.Sprintf("only %d boxes", boxes)
	if boxes == 0 {
		found = "nothing"
	}
	return fmt.Sprintf("on %s the original finds %s on the pictures that are compared, and %d or more are a proof, so that nothing is proved: "+
		"give more pictures, busier ones, or a lower score from which boxes count", engine, found, leastBoxes)
}
