package onnx

import "runtime"

// thread is one OS thread that computes for a session, because ONNX Runtime keeps a
// CUDA graph for the thread that recorded it: on any other it would record again, amid
// what others do on the GPU.
type thread struct {
	work chan func()
	over chan struct{}
}

// newThread starts the thread, which ends with close.
func newThread() *thread {
	t := &thread{work: make(chan func()), over: make(chan struct{})}
	go func() {
		defer close(t.over)
		runtime.LockOSThread() // for good: it ends with the goroutine
		for f := range t.work {
			f()
		}
	}()
	return t
}

// do runs f on the thread and waits for it.
func (t *thread) do(f func() error) (err error) {
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		err = f()
	}
	<-done
	return err
}

func (t *thread) close() {
	close(t.work)
	<-t.over
}
