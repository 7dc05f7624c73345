package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sightline/sink"
	"sightline/sink/sinktest"
	"sightline/sink/spool"
)

// TestSumsHoldAtEveryMoment looks at the accounts all the time while events
// are made, dropped, delivered, refused and held back on a real disk.
func TestSumsHoldAtEveryMoment(t *testing.T) {
	for _, policy := range []spool.Policy{spool.DropOldest, spool.DropLowestSeverity, spool.Block} {
		t.Run(string(policy), func(t *testing.T) { sumsHold(t, policy) })
	}
}

func sumsHold(t *testing.T, policy spool.Policy) {
	folder := t.TempDir()
	var accepted uint64
	for run := range 3 {
		r := &sinktest.Recorder{}
		luck := rand.New(rand.NewPCG(uint64(run), 3))
		r.Answer = func(_ context.Context, _ int, events []sink.Record) error {
			if luck.IntN(10) == 0 {
				return errors.New("not now")
			}
			return randomAnswer(luck, events)
		}
		q := newQueue(t, Config{
			Spool:   spool.Config{Path: filepath.Join(folder, "spool"), Max: 1 << 20, Sync: time.Millisecond, WhenFull: policy, Memory: 64 << 10},
			Letters: Letters{Path: filepath.Join(folder, "dead.jsonl"), Tries: 3},
			Backoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond, MaxBatch: 20,
		}, r)
		stop := running(t, q)
		looking, enough := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		streams := []string{"a", "b", "c", "d"}
		wg.Go(func() {
			for looking.Err() == nil {
				for name, l := range q.Ledgers() {
					if out := accounted(l); out != l.Made {
						t.Errorf("stream %s: %d made and %d accounted for: %+v", name, l.Made, out, l)
					}
				}
				q.State()
			}
		})
		var makers sync.WaitGroup
		for _, name := range streams {
			makers.Go(func() {
				for i := range 600 {
					if err := q.Offer(t.Context(), event(name, run*600+i+1)); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		makers.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		enough()
		wg.Wait()
		accepted += uint64(len(r.Records()))
		var made, acknowledged, recovered uint64
		for _, name := range streams {
			l := balanced(t, q, name)
			made, acknowledged, recovered = made+l.Made, acknowledged+l.Acknowledged, recovered+l.Recovered
		}
		if made != 4*600+recovered || acknowledged != uint64(len(r.Records())) {
			t.Errorf("run %d: made %d, recovered %d, acknowledged %d of %d", run, made, recovered, acknowledged, len(r.Records()))
		}
	}
	if accepted == 0 {
		t.Error("nothing was delivered")
	}
}
