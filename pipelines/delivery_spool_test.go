package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/journal/journaltest"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

// onDisk is a spool on a folder in memory.
func onDisk(fs *journaltest.FS) spool.Config {
	return spool.Config{Path: "spool/events", Max: 64 << 20, Sync: 50 * time.Millisecond, WhenFull: spool.DropOldest, FS: fs}
}

func newDisk() *journaltest.FS { return journaltest.New(rand.New(rand.NewSource(1))) }

func down(context.Context, int, []sink.Record) error { return errors.New("down") }

// A process that ends while its destination is away loses nothing, and the next one
// goes on where it was: same numbers, same ids, only repeats.
func TestDeliveryGoesOnAfterRestarts(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { restarts(t, seed) })
		})
	}
}

func restarts(t *testing.T, seed int64) {
	fs, rng := newDisk(), rand.New(rand.NewSource(seed))
	luck := rand.New(rand.NewSource(seed)) // the sink's own: it answers in another goroutine
	r := &sinktest.Recorder{}
	streams, made := []string{"a", "b", "c"}, map[string]int{}
	var left uint64
	for run := range 6 {
		r.Answer = func(_ context.Context, _ int, events []sink.Record) error {
			if luck.Intn(3) == 0 {
				return errors.New("not now")
			}
			return randomFailure(luck, events)
		}
		if run == 5 {
			r.Answer = nil
		}
		d := delivery(t, DeliveryConfig{Spool: onDisk(fs), MaxBatch: 1 + rng.Intn(20)}, r)
		stop := running(t, d)
		var recovered uint64
		for _, s := range streams {
			recovered += balanced(t, d, s).Recovered
		}
		if recovered != left {
			t.Fatalf("run %d: %d recovered, %d were left", run, recovered, left)
		}
		for range rng.Intn(200) {
			s := streams[rng.Intn(3)]
			made[s]++
			ev := event(s, made[s])
			ev.Data.Stream.Epoch = fmt.Sprint(run)
			offer(t, d, ev)
			if rng.Intn(8) == 0 {
				time.Sleep(time.Duration(rng.Intn(40)) * time.Millisecond)
			}
		}
		if run == 5 {
			if err := d.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := stop(); err != nil {
			t.Fatalf("run %d: %v", run, err)
		}
		left = 0
		for _, s := range streams {
			left += balanced(t, d, s).Spooled
		}
	}
	complete(t, r.Records(), made)
}

// randomFailure names some events as failed, keeping the order of their keys.
func randomFailure(rng *rand.Rand, events []sink.Record) error {
	partial, broken := &sink.PartialError{Err: errors.New("not all")}, map[string]bool{}
	for i, e := range events {
		if broken[e.Event.Stream] || rng.Intn(8) == 0 {
			broken[e.Event.Stream] = true
			partial.Failed = append(partial.Failed, i)
		}
	}
	if partial.Failed == nil {
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

func (s *recordedStates) add(st DeliveryState) {
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

// TestDeliveryGivesUpAPoisonedEvent has a destination that fails on one event: by
// name, or with everything that came along. All others get through.
func TestDeliveryGivesUpAPoisonedEvent(t *testing.T) {
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
				d := delivery(t, DeliveryConfig{Spool: onDisk(newDisk()), OnState: states.add, DeadLetter: DeadLetterConfig{Path: letters, Tries: 4}}, r)
				stop := running(t, d)
				for i := range 400 {
					offer(t, d, event("good", i+1), event("bad", i+1), event("other", i+1))
					time.Sleep(100 * time.Millisecond)
				}
				if err := d.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				for stream, want := range map[string]uint64{"good": 400, "other": 400, "bad": 399} {
					if l := balanced(t, d, stream); l.Acknowledged != want || l.DeadLettered != 400-want {
						t.Errorf("%s: %+v", stream, l)
					}
				}
				got := readLetters(t, letters)
				if len(got) != 1 || read(t, got[0].Event).ID != poison || got[0].Tries < 4 || got[0].Key != "test/bad" {
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
func TestDeliveryPoisonsNothingWhereNobodyAnswers(t *testing.T) {
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
		d := delivery(t, DeliveryConfig{Spool: onDisk(newDisk()), DeadLetter: DeadLetterConfig{Path: filepath.Join(t.TempDir(), "dead"), Tries: 2}}, r)
		stop := running(t, d)
		for i := range 2 * 3600 {
			offer(t, d, event("good", i+1))
			if i < 10 {
				offer(t, d, event("bad", i+1))
			}
			time.Sleep(time.Second)
		}
		stop()
		if l := balanced(t, d, "bad"); l.Acknowledged != 10 {
			t.Errorf("%+v", l)
		}
	})
}

func TestDeliveryWaitsAsLongAsItIsAskedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, calls := time.Now(), []time.Duration(nil)
		r := &sinktest.Recorder{Answer: func(_ context.Context, call int, events []sink.Record) error {
			calls = append(calls, time.Since(begin))
			if call == 1 {
				return &sink.PartialError{Failed: []int{0}, Err: &sink.RetryAfter{After: time.Minute, Err: errors.New("429")}}
			}
			return nil
		}}
		d := delivery(t, DeliveryConfig{}, r)
		offer(t, d, event("a", 1), event("b", 1))
		stop := running(t, d)
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if len(calls) != 2 || calls[1] < time.Minute {
			t.Errorf("tried at %v", calls)
		}
	})
}

// Whatever gives way is counted, on disk as in memory.
func TestDeliveryCountsWhatGivesWay(t *testing.T) {
	for _, policy := range []spool.Policy{spool.DropOldest, spool.DropLowestSeverity, spool.Block} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &sinktest.Recorder{Answer: down}
				c := onDisk(newDisk())
				c.Max, c.WhenFull = 1<<20, policy
				var states recordedStates
				d := delivery(t, DeliveryConfig{Spool: c, OnState: states.add}, r)
				stop := running(t, d)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				canceled := 0
				for i := range 3000 {
					ev := event("gate", i+1)
					if i%10 == 0 {
						ev.Severity = detect.Critical
					}
					if d.Offer(ctx, ev) != nil {
						canceled++
					}
					time.Sleep(time.Millisecond)
				}
				l := balanced(t, d, "gate")
				if l.Made != 3000 || l.Dropped["canceled"] != uint64(canceled) || l.Spooled < 500 || (policy == spool.Block) == (l.Dropped["queue_full"] > 0) {
					t.Errorf("%d canceled: %+v", canceled, l)
				}
				r.Answer = nil
				d.Settle(t.Context(), "gate")
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

// A disk that is full is told of; deliveries go on, and nothing is lost that there
// is room for in memory.
func TestDeliveryGoesOnWithoutItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, r := newDisk(), &sinktest.Recorder{}
		var states recordedStates
		var log bytes.Buffer
		d, err := NewDelivery(DeliveryConfig{Name: "events", Spool: onDisk(fs), OnState: states.add}, r, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, d)
		for i := range 300 {
			switch i {
			case 100:
				fs.Fail(func(_ int, op string) error {
					if op == "write" || op == "create" {
						return syscall.ENOSPC
					}
					return nil
				})
			case 200:
				fs.Fail(nil)
			}
			offer(t, d, event("gate", i+1))
			time.Sleep(100 * time.Millisecond)
		}
		if got := len(r.Records()); got < 295 {
			t.Errorf("%d delivered", got)
		}
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		complete(t, r.Records(), map[string]int{"gate": 300})
		if told, want := states.all(), []string{"spool_failed", "recovered spool_failed"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if !strings.Contains(log.String(), "no space left") {
			t.Errorf("the log does not say why: %s", log.String())
		}
	})
}

// A disk that says nothing any more, in the middle of whatever, holds up nobody who
// makes events, and is told of.
func TestDeliveryNeverWaitsForAHungDisk(t *testing.T) {
	for _, op := range []string{"sync", "write"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs, r := newDisk(), &sinktest.Recorder{}
				var states recordedStates
				c := onDisk(fs)
				c.Memory = 1 << 20
				d := delivery(t, DeliveryConfig{Spool: c, OnState: states.add}, r)
				stop := running(t, d)
				offer(t, d, event("gate", 1))
				time.Sleep(time.Second)
				answer := make(chan struct{})
				fs.Fail(func(_ int, what string) error {
					if what == op {
						<-answer
					}
					return nil
				})
				start := time.Now()
				for i := range 2000 {
					offer(t, d, event("gate", i+2))
					d.State() // as the page asks for it
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("offering took %v", took)
				}
				time.Sleep(15 * time.Second)
				if l := balanced(t, d, "gate"); l.Dropped["queue_full"] == 0 || l.Acknowledged != 1 {
					t.Errorf("%+v", l)
				}
				if told := states.all(); !slices.Contains(told, "spool_failed") {
					t.Errorf("told %v", told)
				}
				close(answer)
				time.Sleep(2 * time.Second)
				if err := d.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if l := balanced(t, d, "gate"); l.Acknowledged+l.Dropped["queue_full"] != 2001 || !slices.Contains(states.all(), "recovered spool_failed") {
					t.Errorf("%+v, told %v", l, states.all())
				}
			})
		})
	}
}

// What is undelivered at the end stays, and is no failure; without a disk it is.
func TestDeliveryLeavesWhatIsUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newDisk()
		var log bytes.Buffer
		d, err := NewDelivery(DeliveryConfig{Name: "events", Spool: onDisk(fs)}, &sinktest.Recorder{Answer: down}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, d)
		for i := range 10 {
			offer(t, d, event("gate", i+1))
		}
		time.Sleep(time.Second)
		start := time.Now()
		if err := d.Drain(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("waited %v for a destination that is away: %v", time.Since(start), err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if l := balanced(t, d, "gate"); l.Spooled != 10 || sum(l.Dropped) != 0 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(log.String(), "events=10") || !strings.Contains(log.String(), "path=spool/events") {
			t.Errorf("the log does not say what waits where: %s", log.String())
		}
	})
}

// TestDeliveryAccountsForLostDisk ends while the disk fails: what was in memory alone
// is counted as lost.
func TestDeliveryAccountsForALostDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newDisk()
		d := delivery(t, DeliveryConfig{Spool: onDisk(fs)}, &sinktest.Recorder{Answer: down})
		stop := running(t, d)
		for i := range 20 {
			if i == 10 {
				time.Sleep(time.Second)
				fs.Fail(func(int, string) error { return syscall.EIO })
			}
			offer(t, d, event("gate", i+1))
		}
		time.Sleep(time.Second)
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "10 events undelivered") || !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v", err)
		}
		if l := balanced(t, d, "gate"); l.Spooled != 10 || l.Dropped["shutdown"] != 10 {
			t.Errorf("%+v", l)
		}
	})
}

// A disk that cannot be read at the start holds up nothing; what is found there
// later is delivered, and accounted for.
func TestDeliveryFindsItsSpoolLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newDisk()
		d := delivery(t, DeliveryConfig{Spool: onDisk(fs)}, &sinktest.Recorder{Answer: down})
		stop := running(t, d)
		for i := range 10 {
			offer(t, d, event("old", i+1))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		fs.Fail(func(int, string) error { return syscall.EIO })
		var states recordedStates
		r := &sinktest.Recorder{}
		d = delivery(t, DeliveryConfig{Spool: onDisk(fs), OnState: states.add}, r)
		stop = running(t, d)
		offer(t, d, event("new", 1))
		time.Sleep(5 * time.Second)
		if l := balanced(t, d, "new"); l.Acknowledged != 1 {
			t.Errorf("%+v", l)
		}
		fs.Fail(nil)
		time.Sleep(5 * time.Second)
		if l := balanced(t, d, "old"); l.Acknowledged != 10 || l.Recovered != 10 || l.Made != 10 {
			t.Errorf("%+v", l)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if told, want := states.all(), []string{"spool_failed", "recovered spool_failed"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// A disk that breaks for good loses nothing that is delivered from memory, and the
// end does not claim that it did.
func TestDeliveryEndsWellWithoutItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, r := newDisk(), &sinktest.Recorder{}
		fs.Fail(func(int, string) error { return syscall.EROFS })
		var log bytes.Buffer
		d, err := NewDelivery(DeliveryConfig{Name: "events", Spool: onDisk(fs)}, r, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, d)
		for i := range 10 {
			offer(t, d, event("gate", i+1))
		}
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Errorf("all were delivered: %v", err)
		}
		if got := len(r.Records()); got != 10 {
			t.Errorf("%d of 10 arrived", got)
		}
		if !strings.Contains(log.String(), "the next run may repeat some") {
			t.Errorf("the log does not say what the disk did not keep: %s", log.String())
		}
	})
}
