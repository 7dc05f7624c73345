package pipelines

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
)

// onDevice makes a batcher that works as one on a GPU does.
func onDevice(e *fakeEngine, g *gate, rows int) *batcher {
	b := newBatcher(e.open, g, rows)
	b.onGPU, b.deadline = true, 20*time.Millisecond
	return b
}

// TestAGPUsBatchRunsWhenFullOrDue has the only core busy, which is none of its business.
func TestAGPUsBatchRunsWhenFullOrDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 0, threadTime)
		e := &fakeEngine{}
		b := onDevice(e, g, 2)
		finish := working(b, 1)
		a, c := newFakeLane("a", false), newFakeLane("c", false)
		a.put(t, b, 1, small)
		core := g.enter(workSnapshot, time.Time{})
		at := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			e.mu.Lock()
			defer e.mu.Unlock()
			if got := fmt.Sprint(e.runs); got != want {
				t.Errorf("ran %s, want %s", got, want)
			}
		}
		at(19*time.Millisecond, "[]")
		at(time.Millisecond, "[[a1]]")
		g.leave(core)
		a.put(t, b, 2, small)
		c.put(t, b, 1, wide)
		c.put(t, b, 2, wide) // full before the older one is due
		core = g.enter(workSnapshot, time.Time{})
		at(time.Millisecond, "[[a1] [c1 c2]]")
		at(19*time.Millisecond, "[[a1] [c1 c2] [a2]]")
		g.leave(core)
		a.put(t, b, 3, small)
		finish() // what is open is run without waiting for anything
		at(0, "[[a1] [c1 c2] [a2] [a3]]")
	})
}

// TestABatchInTheMakingHoldsNobodyUp: one that has to be made takes a while, and two
// lanes want it. Rows of another size come in and run meanwhile.
func TestABatchInTheMakingHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{openTime: time.Second}
		b := onDevice(e, newGate(3, 0, threadTime), 2)
		finish := working(b, 1)
		began := time.Now()
		took := make(chan time.Duration, 2)
		for _, name := range []string{"a", "c"} {
			go func() {
				newFakeLane(name, true).put(t, b, 1, wide)
				took <- time.Since(began)
			}()
		}
		synctest.Wait()
		for i := range uint64(3) {
			newFakeLane("d", true).put(t, b, i+1, small)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if got := fmt.Sprint(e.runs); got != "[[d1 d2] [d3]]" {
			t.Errorf("ran %s meanwhile", got)
		}
		if one, two := <-took, <-took; one != time.Second || two != time.Second || e.opened != 3 {
			t.Errorf("rows were taken after %v and %v, %d batches opened", one, two, e.opened)
		}
		finish()
		if len(e.runs) != 3 || e.opened != e.closed {
			t.Errorf("ran %v, %d batches opened, %d closed", e.runs, e.opened, e.closed)
		}
	})
}

// TestABatchMadeTooLateIsGivenBack closes the batcher while a batch is made.
func TestABatchMadeTooLateIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fakeEngine{openTime: time.Second}
		b := onDevice(e, newGate(3, 0, threadTime), 2)
		finish := working(b, 1)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				l := newFakeLane("l", true)
				errs <- b.put(&row{lane: &l.lane}, decodetest.NewFrame(nil, 16, 16, 1, decodetest.Flat), wide)
			}()
		}
		synctest.Wait()
		finish()
		for range 2 {
			if err := <-errs; !errors.Is(err, errClosed) {
				t.Errorf("error %v", err)
			}
		}
		if e.opened != 1 || e.closed != 1 {
			t.Errorf("%d batches opened, %d closed", e.opened, e.closed)
		}
	})
}

// TestABatcherThatClosedTakesNoRow is what a stream meets when its network moves.
func TestABatcherThatClosedTakesNoRow(t *testing.T) {
	e := &fakeEngine{}
	b := onDevice(e, newGate(1, 0, threadTime), 2)
	working(b, 1)()
	l := newFakeLane("l", true)
	err := b.put(&row{lane: &l.lane}, decodetest.NewFrame(nil, 16, 16, 1, decodetest.Flat), small)
	if !errors.Is(err, errClosed) || l.seq != 0 || e.opened != 0 {
		t.Errorf("%v, number %d taken, %d batches opened", err, l.seq, e.opened)
	}
}

// TestRowsThatHoldNothingFailTheirBatch: on a lost device not even a black picture can
// be written, and all rows come back with the reason.
func TestRowsThatHoldNothingFailTheirBatch(t *testing.T) {
	e := &fakeEngine{refuse: func(f *decode.Frame) bool { return f.Epoch != "a" }}
	b := newBatcher(e.open, newGate(1, 0, threadTime), 2)
	a, c := newFakeLane("a", false), newFakeLane("c", false)
	a.put(t, b, 1, small)
	c.put(t, b, 1, small)
	working(b, 1)()
	if len(e.runs) != 0 || !slices.Equal(a.got, []string{"1=error"}) || !slices.Equal(c.got, []string{"1=error"}) {
		t.Errorf("ran %v; a got %v, c got %v", e.runs, a.got, c.got)
	}
	if e.opened != e.closed {
		t.Errorf("%d batches opened, %d closed", e.opened, e.closed)
	}
}

// TestWorkAsideTakesNoCore counts its time all the same.
func TestWorkAsideTakesNoCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 0, threadTime)
		core := g.enter(workLiveDecode, time.Time{})
		w := g.aside(workInfer)
		time.Sleep(time.Second)
		g.leave(w)
		g.leave(core)
		if _, _, infer := g.spent(); infer != time.Second {
			t.Errorf("inference took %v, want a second", infer)
		}
		g.leave(g.enter(workInfer, time.Time{})) // the core is there still
		if idle := g.idled(); idle != 0 {
			t.Errorf("the core idled %v", idle)
		}
	})
}
