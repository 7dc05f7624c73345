package pipelines

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect/onnx"
)

// fakeSizes compiles in 100 ms what is not too high.
type fakeSizes struct {
	mu       sync.Mutex
	ready    map[onnx.Shape]bool
	prepared int
}

var first = onnx.Shape{Width: 1, Height: 1}

func (f *fakeSizes) Ideal(w, h int) onnx.Shape { return onnx.Shape{Width: w, Height: h} }
func (f *fakeSizes) Ready(s onnx.Shape) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready[s]
}
func (f *fakeSizes) ShapeFor(w, h int) onnx.Shape {
	if s := f.Ideal(w, h); f.Ready(s) {
		return s
	}
	return first
}

func (f *fakeSizes) Prepare(s onnx.Shape) error {
	time.Sleep(100 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prepared++
	if s.Height > 100 {
		return errors.New("too high")
	}
	f.ready[s] = true
	return nil
}

func TestShapes(t *testing.T) {
	fits, tooHigh := onnx.Shape{Width: 16, Height: 9}, onnx.Shape{Width: 16, Height: 900}
	for _, wait := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sizes, failures := &fakeSizes{ready: map[onnx.Shape]bool{}}, 0
			s := &shapes{session: sizes, wait: wait, failed: func(error) { failures++ }}
			get := func(size, want onnx.Shape, when string) {
				t.Helper()
				if got := s.get(size.Width, size.Height); got != want {
					t.Errorf("waiting %v: %v %s gets %v, want %v", wait, size, when, got, want)
				}
			}
			if wait {
				get(fits, fits, "at once")
			} else {
				get(fits, first, "meanwhile")
				get(fits, first, "meanwhile")
			}
			s.compiling.Wait()
			get(fits, fits, "once compiled")
			get(tooHigh, first, "that cannot be compiled")
			s.compiling.Wait()
			for range 10 {
				get(tooHigh, first, "that could not be compiled")
			}
			s.compiling.Wait()
			if sizes.prepared != 2 || failures != 1 {
				t.Errorf("waiting %v: compiled %d times with %d failures, want 2 and 1", wait, sizes.prepared, failures)
			}
			get(fits, fits, "again")
		})
	}
}
