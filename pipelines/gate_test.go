package pipelines

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateServesTheMostUrgentFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 0, threadTime)
		first := g.enter(workFileDecode, time.Time{})
		early, late := time.Unix(10, 0), time.Unix(20, 0)
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for _, w := range []struct {
			name  string
			class int
			due   time.Time
		}{
			{"file", workFileDecode, time.Time{}},
			{"live, late", workLiveDecode, late},
			{"live, early", workLiveDecode, early},
			{"preprocess", workPreprocess, late},
			{"infer", workInfer, late},
			{"live, early, second", workLiveDecode, early},
		} {
			wg.Go(func() {
				core := g.enter(w.class, w.due)
				mu.Lock()
				order = append(order, w.name)
				mu.Unlock()
				g.leave(core)
			})
			synctest.Wait() // they queue up in this order
		}
		g.leave(first)
		wg.Wait()
		want := []string{"infer", "preprocess", "live, early", "live, early, second", "live, late", "file"}
		if !slices.Equal(order, want) {
			t.Errorf("served %q, want %q", order, want)
		}
	})
}

func TestGateLetsInAsManyAsThereAreCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		g := newGate(3, 0, func() time.Duration { return time.Since(begin) })
		inside, most := 0, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				core := g.enter(workInfer, time.Time{})
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				g.leave(core)
			})
		}
		wg.Wait()
		if most != 3 || g.free != 3 {
			t.Errorf("%d inside at once and %d free at the end, want 3 and 3", most, g.free)
		}
		if decode, preprocess, infer := g.spent(); infer != 20*time.Millisecond || decode+preprocess != 0 {
			t.Errorf("spent %v on inference and %v on the rest, want 20ms and 0", infer, decode+preprocess)
		}
	})
}
