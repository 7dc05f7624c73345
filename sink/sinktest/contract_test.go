package sinktest

import (
	"context"
	"errors"
	"testing"

	"sightline/sink"
)

func TestRecorderKeepsTheContract(t *testing.T) {
	Run(t, func(t *testing.T) Destination {
		r := &Recorder{}
		return Destination{
			Open: func(t *testing.T) sink.Sink { return r },
			Read: func(t *testing.T, want int) []Arrival { return recorded(t, r.Records()) },
			Break: func(t *testing.T) (mend func()) {
				r.Answer = failInTurn
				return func() { r.Answer = nil }
			},
		}
	})
}

func recorded(t *testing.T, records []sink.Record) []Arrival {
	out := arrivals(records)
	for i, r := range records {
		body, err := sink.AppendStructured(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		out[i].Body = string(body)
	}
	return out
}

// failInTurn fails the second half of each key's events, then everything.
func failInTurn(ctx context.Context, call int, events []sink.Record) error {
	if call%2 == 0 {
		return errors.New("not now")
	}
	var failed []int
	for i := len(events) / 2; i < len(events); i++ {
		failed = append(failed, i)
	}
	return &sink.PartialError{Failed: failed, Err: errors.New("not all of them")}
}

func TestRecorderRecordsWhatWasNotDenied(t *testing.T) {
	r := &Recorder{Answer: func(context.Context, int, []sink.Record) error {
		return &sink.PartialError{Failed: []int{2}, Refused: []int{0}, Err: errors.New("half")}
	}}
	if err := r.Publish(t.Context(), Records([]string{"a"}, 1, 4)); err == nil {
		t.Fatal("no error")
	}
	got := r.Records()
	if len(got) != 2 || got[0].Sequence != 2 || got[1].Sequence != 4 {
		t.Errorf("recorded %v, want the events 2 and 4", arrivals(got))
	}
}
