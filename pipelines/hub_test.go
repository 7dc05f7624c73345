package pipelines

import (
	"sync"
	"testing"
	"time"

	"sightline/decode/decodetest"
)

func TestASlowWatcherMissesAndHoldsNobodyUp(t *testing.T) {
	h := newHub[int](nil)
	h.publish(func() int { t.Error("something is made for nobody"); return 0 })
	slow, quick := h.subscribe(2), h.subscribe(10)
	for i := range 5 {
		h.publish(func() int { return i })
	}
	slow.Close()
	var got []int
	for v := range slow.C {
		got = append(got, v)
	}
	if len(got) != 2 || got[0] != 0 || got[1] != 1 || slow.Missed.Load() != 3 {
		t.Errorf("slow watcher got %v and missed %d", got, slow.Missed.Load())
	}
	if len(quick.C) != 5 || quick.Missed.Load() != 0 {
		t.Errorf("quick watcher has %d and missed %d", len(quick.C), quick.Missed.Load())
	}
	quick.Close()
	if h.watched() {
		t.Error("somebody still watches")
	}
}

// TestWatchedFramesAreGivenBack counts every frame through watchers that are slow,
// that leave in the middle, and that take what they get.
func TestWatchedFramesAreGivenBack(t *testing.T) {
	live := decodetest.Live(t)
	w := newWatchers()
	var wg sync.WaitGroup
	for range 4 {
		sub := w.frames.subscribe(1)
		wg.Go(func() {
			for f := range sub.C {
				f.Release()
			}
		})
		wg.Go(func() {
			time.Sleep(time.Millisecond)
			sub.Close()
		})
	}
	idle := w.frames.subscribe(2)
	for i := range uint64(2000) {
		f := decodetest.NewFrame(live, 16, 16, i+1, decodetest.Flat)
		w.frame(f)
		f.Release()
	}
	idle.Close()
	wg.Wait()
	if live.Frames() != 0 {
		t.Errorf("%d frames are still out", live.Frames())
	}
}
