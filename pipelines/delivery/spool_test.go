package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

// A process that ends while its destination is away loses nothing, and the next one
// goes on where it was: same numbers, same ids, only repeats.
func TestGoesOnAfterRestarts(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { restarts(t, seed) })
		})
	}
}

func restarts(t *testing.T, seed uint64) {
	fs, rng := newDisk(), rand.New(rand.NewPCG(seed, 1))
	luck := rand.New(rand.NewPCG(seed, 2)) // the sink's own: it answers in another goroutine
	r := &sinktest.Recorder{}
	streams, made := []string{"a", "b", "c"}, map[string]int{}
	var left uint64
	for run := range 6 {
		r.Answer = func(_ context.Context, _ int, events []sink.Record) error {
			if luck.IntN(3) == 0 {
				return errors.New("not now")
			}
			return someFail(luck, events, false)
		}
		if run == 5 {
			r.Answer = nil
		}
		q := newQueue(t, Config{Spool: onDisk(fs), MaxBatch: 1 + rng.IntN(20)}, r)
		stop := running(t, q)
		var recovered uint64
		for _, s := range streams {
			recovered += balanced(t, q, s).Recovered
		}
		if recovered != left {
			t.Fatalf("run %d: %d recovered, %d were left", run, recovered, left)
		}
		for range rng.IntN(200) {
			s := streams[rng.IntN(3)]
			made[s]++
			ev := event(s, made[s])
			ev.Data.Stream.Epoch = fmt.Sprint(run)
			offer(t, q, ev)
			if rng.IntN(8) == 0 {
				time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
			}
		}
		if run == 5 {
			if err := q.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := stop(); err != nil {
			t.Fatalf("run %d: %v", run, err)
		}
		left = 0
		for _, s := range streams {
			left += balanced(t, q, s).Spooled
		}
	}
	complete(t, r.Records(), made)
}

// TestGivesUpAPoisonedEvent has a destination that fails on one event: by
// name, or with everything that came along. All others get through.
func TestGivesUpAPoisonedEvent(t *testing.T) {
	poison := event("bad", 3).ID
	for name, answer := range map[string]func(events []sink.Record, at int) error{
		"named": func(events []sink.Record, at int) error {
			partial := &sink.PartialError{Err: errors.New("cannot digest it")}
			for i, e := range events {
				if i >= at && e.Event.Stream == "bad" {
					partial.Failed = append(partial.Failed, i)
				}
			}
			return partial
		},
		"in company": func([]sink.Record, int) error { return errors.New("connection closed by peer") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &sinktest.Recorder{Answer: func(_ context.Context, _ int, events []sink.Record) error {
					if at := slices.IndexFunc(events, func(e sink.Record) bool { return e.Event.ID == poison }); at >= 0 {
						return answer(events, at)
					}
					return nil
				}}
				letters := filepath.Join(t.TempDir(), "dead.jsonl")
				var states recordedStates
				q := newQueue(t, Config{Spool: onDisk(newDisk()), OnState: states.add, Letters: Letters{Path: letters, Tries: 4}}, r)
				stop := running(t, q)
				for i := range 400 {
					offer(t, q, event("good", i+1), event("bad", i+1), event("other", i+1))
					time.Sleep(100 * time.Millisecond)
				}
				if err := q.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				for stream, want := range map[string]uint64{"good": 400, "other": 400, "bad": 399} {
					if l := balanced(t, q, stream); l.Acknowledged != want || l.DeadLettered != 400-want {
						t.Errorf("%s: %+v", stream, l)
					}
				}
				got := readLetters(t, letters)
				if len(got) != 1 || eventID(t, got[0].Event) != poison || got[0].Tries < 4 || got[0].Key != "test/bad" {
					t.Fatalf("dead letters: %+v", got)
				}
				if told, want := states.all(), []string{"unreachable", "dead_letter", "recovered unreachable"}; !slices.Equal(told, want) {
					t.Errorf("told %v, want %v", told, want)
				}
			})
		})
	}
}

// A part of the destination that cannot be reached poisons nothing, however long.
func TestPoisonsNothingWhereNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := &sinktest.Recorder{Answer: func(_ context.Context, _ int, events []sink.Record) error {
			partial := &sink.PartialError{Err: fmt.Errorf("partition 3: %w", syscall.ECONNREFUSED)}
			for i, e := range events {
				if e.Event.Stream == "bad" && time.Since(begin) < time.Hour {
					partial.Failed = append(partial.Failed, i)
				}
			}
			if partial.Failed == nil {
				return nil
			}
			return partial
		}}
		q := newQueue(t, Config{Spool: onDisk(newDisk()), Letters: Letters{Path: filepath.Join(t.TempDir(), "dead"), Tries: 2}}, r)
		stop := running(t, q)
		for i := range 2 * 3600 {
			offer(t, q, event("good", i+1))
			if i < 10 {
				offer(t, q, event("bad", i+1))
			}
			time.Sleep(time.Second)
		}
		stop()
		if l := balanced(t, q, "bad"); l.Acknowledged != 10 {
			t.Errorf("%+v", l)
		}
	})
}

func TestWaitsAsLongAsItIsAskedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, calls := time.Now(), []time.Duration(nil)
		r := &sinktest.Recorder{Answer: func(_ context.Context, call int, events []sink.Record) error {
			calls = append(calls, time.Since(begin))
			if call == 1 {
				return &sink.PartialError{Failed: []int{0}, Err: &sink.RetryAfter{After: time.Minute, Err: errors.New("429")}}
			}
			return nil
		}}
		q := newQueue(t, Config{}, r)
		offer(t, q, event("a", 1), event("b", 1))
		stop := running(t, q)
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if len(calls) != 2 || calls[1] < time.Minute {
			t.Errorf("tried at %v", calls)
		}
	})
}

// Whatever gives way is counted, on disk as in memory.
func TestCountsWhatGivesWay(t *testing.T) {
	for _, policy := range []spool.Policy{spool.DropOldest, spool.DropLowestSeverity, spool.Block} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &sinktest.Recorder{Answer: down}
				c := onDisk(newDisk())
				c.Max, c.WhenFull = 1<<20, policy
				var states recordedStates
				q := newQueue(t, Config{Spool: c, OnState: states.add}, r)
				stop := running(t, q)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				canceled := 0
				for i := range 3000 {
					ev := event("gate", i+1)
					if i%10 == 0 {
						ev.Severity = detect.Critical
					}
					if q.Offer(ctx, ev) != nil {
						canceled++
					}
					time.Sleep(time.Millisecond)
				}
				l := balanced(t, q, "gate")
				if l.Made != 3000 || l.Dropped["canceled"] != uint64(canceled) || l.Spooled < 500 || (policy == spool.Block) == (l.Dropped["queue_full"] > 0) {
					t.Errorf("%d canceled: %+v", canceled, l)
				}
				r.Answer = nil
				q.Settle(t.Context(), "gate")
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				critical := 0
				for _, rec := range r.Records() {
					if rec.Event.Severity == detect.Critical {
						critical++
					}
				}
				if policy == spool.DropLowestSeverity && critical != 300 {
					t.Errorf("%d of 300 critical events arrived", critical)
				}
				if full := slices.Contains(states.all(), "spool_full"); full != (policy != spool.Block) {
					t.Errorf("told %v", states.all())
				}
			})
		})
	}
}
