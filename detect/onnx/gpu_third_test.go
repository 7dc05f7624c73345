//go:build cuda

package onnx

import (
	"testing"
	"time"

	"sightline/kernels/emu"
)

// TestCUDAThirdBatch makes a batch more than there are while the GPU takes its time:
// nothing else of the session waits for that.
func TestCUDAThirdBatch(t *testing.T) {
	emu.Need(t)
	s, err := New(onGPU(t, "coco-nano", device(t), 2), quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	shape := s.Ideal(64, 64)
	if err := s.Prepare(shape); err != nil {
		t.Fatal(err)
	}
	var open []*Batch
	for range 2 {
		b, err := s.Open(shape, 2)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, b)
	}
	streams := emu.Counts().Streams
	emu.Lag(time.Hour)
	defer emu.Lag(0)
	made := make(chan error)
	go func() {
		b, err := s.Open(shape, 2)
		if err == nil {
			b.Close()
		}
		made <- err
	}()
	for emu.Counts().Streams == streams {
		time.Sleep(time.Millisecond) // polled: nothing tells when Open has begun
	}
	others := make(chan bool)
	go func() {
		ready := s.Ready(shape)
		for _, b := range open {
			b.Close()
		}
		again, err := s.Open(shape, 2)
		if err == nil {
			again.Close()
		}
		others <- ready && err == nil
	}()
	select {
	case ok := <-others:
		if !ok {
			t.Error("the session is of no use meanwhile")
		}
	case <-made:
		t.Error("the batch was made before the GPU was done")
	case <-time.After(time.Minute):
		t.Error("the session waits for a batch that is made")
	}
	emu.Lag(0)
	if err := <-made; err != nil {
		t.Error(err)
	}
}
