package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

// TestMain looks for goroutines left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newQueue is a queue to s that discards its log.
func newQueue(t testing.TB, cfg Config, s sink.Sink) *Queue {
	t.Helper()
	cfg.Name = "events"
	q, err := New(cfg, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// inMemory is a queue of that size.
func inMemory(size int64, block bool) spool.Config {
	c := spool.Config{Max: size, WhenFull: spool.DropOldest}
	if block {
		c.WhenFull = spool.Block
	}
	return c
}

// running starts q and returns what ends it and hands back Run's error.
func running(t *testing.T, q *Queue) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func event(stream string, n int) *detect.Event {
	return sinktest.Record(stream, uint64(n)).Event
}

func offer(t *testing.T, q *Queue, events ...*detect.Event) {
	t.Helper()
	for _, ev := range events {
		if err := q.Offer(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
}

// balanced checks the contract's sum and returns the account.
func balanced(t *testing.T, q *Queue, stream string) detect.SinkLedger {
	t.Helper()
	l := q.Ledger(stream)
	if out := accounted(l); out != l.Made {
		t.Fatalf("stream %s: %d made and %d accounted for: %+v", stream, l.Made, out, l)
	}
	return l
}

// accounted is how many events of an account are in one of its columns.
func accounted(l detect.SinkLedger) uint64 {
	n := l.Filtered + l.Acknowledged + l.Spooled + l.DeadLettered + l.Expired
	for _, dropped := range l.Dropped {
		n += dropped
	}
	return n
}

// randomAnswer takes all, nothing or some of the events, or refuses some.
func randomAnswer(luck *rand.Rand, events []sink.Record) error {
	switch luck.IntN(4) {
	case 0:
		return nil
	case 1:
		return errors.New("not now")
	}
	return someFail(luck, events, true)
}

// someFail fails some events and, with refuse, refuses others. It keeps a sink's
// promise: after a failed event of a stream none of the same stream is accepted.
func someFail(luck *rand.Rand, events []sink.Record, refuse bool) error {
	partial, broken := &sink.PartialError{Err: errors.New("not all")}, map[string]bool{}
	for i, e := range events {
		switch {
		case broken[e.Event.Stream] || luck.IntN(8) == 0:
			broken[e.Event.Stream] = true
			partial.Failed = append(partial.Failed, i)
		case refuse && luck.IntN(20) == 0:
			partial.Refused = append(partial.Refused, i)
		}
	}
	if len(partial.Failed)+len(partial.Refused) == 0 {
		return nil
	}
	return partial
}

// complete checks that every event arrived, in order, numbered without a gap; what
// came again is the same.
func complete(t *testing.T, got []sink.Record, made map[string]int) {
	t.Helper()
	ids := map[string][]string{}
	for _, rec := range got {
		s := rec.Event.Stream
		seen := ids[s]
		switch n := int(rec.Sequence); {
		case n == len(seen)+1:
			if want := event(s, n).ID; rec.Event.ID != want {
				t.Fatalf("stream %s: number %d is %s, want %s", s, n, rec.Event.ID, want)
			}
			ids[s] = append(seen, rec.Event.ID)
		case n > len(seen) || seen[n-1] != rec.Event.ID:
			t.Fatalf("stream %s: number %d, %s, after %d", s, n, rec.Event.ID, len(seen))
		}
	}
	for s, n := range made {
		if len(ids[s]) != n {
			t.Errorf("stream %s: %d of %d arrived", s, len(ids[s]), n)
		}
	}
}

// recordedStates collects what OnState is told.
type recordedStates struct {
	mu   sync.Mutex
	told []string
}

func (s *recordedStates) add(st State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := st.Told.Code
	if what == detect.ReasonRecovered {
		what += " " + st.Told.Message
	}
	s.told = append(s.told, what)
}

func (s *recordedStates) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}
