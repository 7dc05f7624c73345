package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

func TestFiltersAndNumbersWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{}
		q := newQueue(t, Config{}, r)
		stop := running(t, q)
		noise := event("gate", 0)
		noise.Type = detect.Detections
		offer(t, q, event("gate", 1), noise, event("lobby", 1), noise, event("gate", 2))
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
		got := map[string]string{}
		for _, rec := range r.Records() {
			got[rec.Event.Stream] += fmt.Sprintf(" %d %d,", rec.Event.Data.Frame.Index, rec.Sequence)
		}
		if want := map[string]string{"gate": " 1 1, 2 2,", "lobby": " 1 1,"}; !maps.Equal(got, want) {
			t.Errorf("delivered %v, want %v", got, want)
		}
		if l := balanced(t, q, "gate"); l.Made != 4 || l.Filtered != 2 || l.Acknowledged != 2 {
			t.Errorf("gate: %+v", l)
		}
	})
}

func TestTakesTheTypesAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{}
		q := newQueue(t, Config{Types: []detect.Type{detect.Detections}}, r)
		stop := running(t, q)
		seen := event("gate", 1)
		seen.Type = detect.Detections
		offer(t, q, seen, event("gate", 2))
		synctest.Wait()
		if got := r.Records(); len(got) != 1 || got[0].Event != seen {
			t.Errorf("delivered %d events, want the detections alone", len(got))
		}
		stop()
	})
}

func TestSequenceBeginsAgainWithAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{}
		q := newQueue(t, Config{}, r)
		stop := running(t, q)
		var got []uint64
		for i, epoch := range []string{"1", "1", "", "2", "2", ""} { // without: offline, between two connections
			ev := event("gate", i)
			ev.Data.Stream.Epoch = epoch
			offer(t, q, ev)
		}
		synctest.Wait()
		for _, rec := range r.Records() {
			got = append(got, rec.Sequence)
		}
		if want := []uint64{1, 2, 3, 1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("sequences %v, want %v", got, want)
		}
		stop()
	})
}

// The sink fails in part, wholly, or refuses, at random; whatever happens, each
// event is accounted for once, and the order per stream is kept.
func TestConservesEventsUnderRandomFailures(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { conserve(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func conserve(t *testing.T, rng *rand.Rand) {
	r := &sinktest.Recorder{}
	luck := rand.New(rand.NewPCG(rng.Uint64(), 8)) // the sink's own: it answers in another goroutine
	r.Answer = func(_ context.Context, _ int, events []sink.Record) error {
		time.Sleep(time.Duration(luck.IntN(50)) * time.Millisecond)
		return randomAnswer(luck, events)
	}
	cfg := Config{Spool: inMemory(1<<(14+rng.IntN(6)), rng.IntN(2) == 0), MaxBatch: 1 + rng.IntN(20)}
	q := newQueue(t, cfg, r)
	stop := running(t, q)
	streams := []string{"a", "b", "c"}
	for i := range 400 {
		offer(t, q, event(streams[rng.IntN(3)], i))
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		}
		balanced(t, q, streams[0])
		if state := q.State(); state.Bytes > cfg.Spool.Max {
			t.Fatalf("%d bytes wait, allowed are %d", state.Bytes, cfg.Spool.Max)
		}
	}
	if rng.IntN(3) > 0 {
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	total := detect.SinkLedger{}
	for _, s := range streams {
		l := balanced(t, q, s)
		total.Made += l.Made
		total.Acknowledged += l.Acknowledged
		if l.Spooled != 0 || cfg.Spool.WhenFull == spool.Block && l.Dropped["queue_full"] != 0 {
			t.Errorf("%s: %+v", s, l)
		}
	}
	if total.Made != 400 || total.Acknowledged != uint64(len(r.Records())) {
		t.Errorf("made %d, acknowledged %d, the sink has %d", total.Made, total.Acknowledged, len(r.Records()))
	}
	last := map[string]uint64{}
	for _, rec := range r.Records() {
		if rec.Sequence <= last[rec.Event.Stream] {
			t.Fatalf("stream %s: sequence %d after %d", rec.Event.Stream, rec.Sequence, last[rec.Event.Stream])
		}
		last[rec.Event.Stream] = rec.Sequence
	}
}

func TestNeverWaitsForAnUnreachableSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{Answer: func(ctx context.Context, _ int, _ []sink.Record) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		q := newQueue(t, Config{Spool: inMemory(20_000, false)}, r)
		stop := running(t, q)
		start := time.Now()
		for i := range 1000 {
			offer(t, q, event("gate", i))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("offering took %v", took)
		}
		l := balanced(t, q, "gate")
		if state := q.State(); state.Bytes > 20_000 || l.Dropped["queue_full"] != 1000-l.Spooled || l.Spooled < 15 {
			t.Errorf("state %+v, account %+v", state, l)
		}
		err := stop()
		if want := fmt.Sprintf("%d events undelivered", l.Spooled); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run: got %v, want %s", err, want)
		}
		if l := balanced(t, q, "gate"); l.Spooled != 0 || l.Dropped["shutdown"] == 0 {
			t.Errorf("after the end: %+v", l)
		}
	})
}

// What is dropped is the oldest; a consumer sees the gap and then the newest.
func TestDropsTheOldestAndLeavesAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := &sinktest.Recorder{Answer: func(context.Context, int, []sink.Record) error {
			if down {
				return errors.New("down")
			}
			return nil
		}}
		q := newQueue(t, Config{Spool: inMemory(15_000, false)}, r)
		stop := running(t, q)
		for i := range 100 {
			offer(t, q, event("gate", 100+i))
			synctest.Wait()
		}
		down = false
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		var got []uint64
		for _, rec := range r.Records() {
			got = append(got, rec.Sequence)
		}
		if len(got) < 5 || len(got) > 50 || got[0] != 101-uint64(len(got)) || !slices.IsSorted(got) || got[len(got)-1] != 100 {
			t.Errorf("arrived %v, want the last ones", got)
		}
	})
}

func TestWithBlockWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{Answer: func(context.Context, int, []sink.Record) error {
			time.Sleep(time.Second)
			return nil
		}}
		q := newQueue(t, Config{Spool: inMemory(5000, true), MaxBatch: 2}, r)
		stop := running(t, q)
		start := time.Now()
		for i := range 50 {
			offer(t, q, event("clip", i))
		}
		if took := time.Since(start); took < 20*time.Second {
			t.Errorf("50 events, two a second, were offered in %v", took)
		}
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if l := balanced(t, q, "clip"); l.Acknowledged != 50 {
			t.Errorf("%+v", l)
		}
	})
}

func TestWithBlockEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, Config{Spool: inMemory(2000, true)}, &sinktest.Recorder{}) // nobody runs it
		offer(t, q, event("clip", 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Offer(ctx, event("clip", 2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if l := balanced(t, q, "clip"); l.Dropped["canceled"] != 1 || l.Spooled != 1 {
			t.Errorf("%+v", l)
		}
	})
}

func TestDrainHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{Answer: func(context.Context, int, []sink.Record) error { return errors.New("broker is down") }}
		q := newQueue(t, Config{}, r)
		stop := running(t, q)
		offer(t, q, event("gate", 1), event("gate", 2))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		err := q.Drain(ctx)
		if err == nil || !strings.Contains(err.Error(), "2 events undelivered") || !strings.Contains(err.Error(), "broker is down") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("drained for %v", took)
		}
		if err := q.Offer(t.Context(), event("gate", 3)); err == nil {
			t.Error("an event was taken after the end")
		}
		if err := stop(); err == nil || !strings.Contains(err.Error(), "broker is down") {
			t.Errorf("run: %v", err)
		}
		if l := balanced(t, q, "gate"); l.Dropped["shutdown"] != 2 || l.Dropped["closed"] != 1 {
			t.Errorf("%+v", l)
		}
	})
}

func TestBacksOffAndTellsOfItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Duration
		var states []State
		var acked int
		start := time.Now()
		r := &sinktest.Recorder{Answer: func(_ context.Context, call int, _ []sink.Record) error {
			attempts = append(attempts, time.Since(start))
			if call <= 8 {
				return errors.New("down")
			}
			return nil
		}}
		q := newQueue(t, Config{
			Backoff: time.Second, MaxBackoff: 8 * time.Second,
			OnState: func(s State) { states = append(states, s) },
			OnAck: func(events []*detect.Event, at time.Time) {
				if acked += len(events); !at.Equal(time.Now()) {
					t.Errorf("acknowledged at %v, told at %v", at, time.Now())
				}
			},
		}, r)
		stop := running(t, q)
		offer(t, q, event("gate", 1), event("gate", 2))
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		for i, limit := range []int{1, 2, 4, 8, 8, 8, 8, 8} {
			pause, most := attempts[i+1]-attempts[i], time.Duration(limit)*time.Second
			if pause > most || pause < most/2 {
				t.Errorf("pause %d: %v, want %v to %v", i+1, pause, most/2, most)
			}
		}
		if len(states) != 2 || !states[0].Degraded || states[0].Err == nil || states[0].Events != 2 || states[1].Degraded || states[1].Err != nil {
			t.Errorf("states: %+v", states)
		}
		if end := q.State(); acked != 2 || end.LastAck != attempts[8] || end.Events != 0 || end.Bytes != 0 {
			t.Errorf("acknowledged %d, state %+v", acked, end)
		}
	})
}

func TestGivesUpRefusedEventsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &sinktest.Recorder{Answer: func(_ context.Context, _ int, events []sink.Record) error {
			return &sink.PartialError{Refused: []int{0}, Err: errors.New("broker gone"), Why: map[int]error{0: errors.New("too large")}}
		}}
		letters := filepath.Join(t.TempDir(), "dead.jsonl")
		q := newQueue(t, Config{MaxBatch: 3, Letters: Letters{Path: letters}}, r)
		for i := range 6 {
			offer(t, q, event("gate", i))
		}
		stop := running(t, q)
		start := time.Now()
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v for nothing", took)
		}
		if l := balanced(t, q, "gate"); l.DeadLettered != 2 || l.Acknowledged != 4 {
			t.Errorf("%+v", l)
		}
		for _, l := range readLetters(t, letters) {
			if l.Reason != "too large" {
				t.Errorf("the reason of an event is another's: %s", l.Reason)
			}
		}
	})
}
