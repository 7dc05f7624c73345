package spool

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"sightline/sink"
)

// Many append, one commits, one delivers and fails now and then, one looks on: each
// record leaves once as Done, in order per key and without a gap.
func TestQueueUnderConcurrentUse(t *testing.T) {
	const appenders = 4
	for name, c := range map[string]struct {
		every time.Duration
		each  uint64
	}{"grouped": {time.Millisecond, 1500}, "each": {0, 150}} {
		t.Run(name, func(t *testing.T) {
			q, gone := open(t, Config{Path: t.TempDir(), Sync: c.every, Memory: 1 << 20, WhenFull: Block, Max: 2 << 20})
			var appending, others sync.WaitGroup
			for a := range appenders {
				appending.Go(func() {
					for i := range int(c.each) {
						to := sink.Route{Key: []string{"", "shared"}[i%2]}
						if err := q.Append(t.Context(), event(fmt.Sprint("s", a), i, info), to); err != nil {
							t.Error(err)
						}
					}
				})
			}
			stop := make(chan struct{})
			others.Go(func() {
				for {
					select {
					case <-q.Dirty():
						if err := q.Sync(); err != nil {
							t.Error(err)
						}
						q.Stats()
					case <-stop:
						return
					}
				}
			})
			delivered := make(chan map[string]uint64)
			go func() { delivered <- deliver(t, q) }()
			appending.Wait()
			q.Close()
			last := <-delivered
			close(stop)
			others.Wait()
			if last["shared"] != appenders*c.each/2 || last["test/s0"] != c.each/2 || gone.sum() > 0 {
				t.Errorf("delivered %v, gave up %v", last, gone)
			}
			release(t, q)
		})
	}
}

// deliver settles all that comes, a part of it in parts and again.
func deliver(t *testing.T, q *Queue) map[string]uint64 {
	last := map[string]uint64{}
	for n := 0; ; n++ {
		items, err := q.Next(t.Context(), 100)
		if err == io.EOF {
			return last
		}
		if err != nil {
			t.Error(err)
			return last
		}
		failed := map[string]bool{}
		fates := all(items, Done)
		for i, it := range items {
			key := it.PartitionKey()
			if failed[key] || (i+n)%37 == 0 {
				failed[key], fates[i] = true, Again
				continue
			}
			if it.Sequence != last[key]+1 {
				t.Errorf("%s: %d after %d", key, it.Sequence, last[key])
			}
			last[key] = it.Sequence
		}
		half := len(items) / 2
		q.Settle(items[half:], fates[half:], 0)
		q.Settle(items[:half], fates[:half], 0)
	}
}
