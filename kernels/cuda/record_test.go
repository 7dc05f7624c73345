//go:build cuda

package cuda

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gorgonia.org/cu"

	"sightline/kernels/emu"
)

// besideRecording calls f on other threads while this one records a CUDA graph as ONNX
// Runtime does, and returns whether that was spoiled.
func besideRecording(t *testing.T, d Device, f func()) (spoiled error) {
	t.Helper()
	s := newStream(t, d)
	ok(t, d.Do(func() error {
		end, err := emu.Record(s.Handle())
		if err != nil {
			return err
		}
		var others sync.WaitGroup
		for range 2 {
			others.Go(f)
		}
		others.Wait()
		spoiled = end()
		return nil
	}))
	return spoiled
}

// TestCUDABesideRecording: whatever goes on on a device while a thread records a CUDA
// graph, neither of them notices the other.
func TestCUDABesideRecording(t *testing.T) {
	d := open(t, Config{})
	work := func() error {
		m, err := d.Alloc("test", 1<<20)
		if err != nil {
			return err
		}
		p, err := d.Pinned(4096)
		if err != nil {
			return errors.Join(err, m.Free())
		}
		s, err := d.NewStream()
		if err != nil {
			return errors.Join(err, p.Free(), m.Free())
		}
		err = s.Upload(m.Address(), p.Bytes())
		e, recordErr := s.Record()
		if recordErr == nil {
			_, queryErr := e.Done()
			recordErr = errors.Join(queryErr, e.Close())
		}
		return errors.Join(err, recordErr, s.Synchronize(), s.Close(), p.Free(), m.Free())
	}
	spoiled := besideRecording(t, d, func() {
		if err := work(); err != nil {
			t.Error(err)
		}
	})
	if spoiled != nil {
		t.Error(spoiled)
	}
}

// TestCUDASpoilsRecording: a thread of which nobody has seen to that does spoil it, so
// that the test before this one shows something, and Beside sees to it.
func TestCUDASpoilsRecording(t *testing.T) {
	d := open(t, Config{})
	allocate := func() (err error) {
		defer runtime.UnlockOSThread()
		runtime.LockOSThread()
		if err := cu.PushCurrentCtx(d.(*device).ctx); err != nil {
			return err
		}
		defer cu.PopCurrentCtx()
		p, err := cu.MemAlloc(4096)
		if err == nil {
			err = cu.MemFree(p)
		}
		return err
	}
	var mu sync.Mutex
	var refused error
	spoiled := besideRecording(t, d, func() {
		err := allocate()
		mu.Lock()
		defer mu.Unlock()
		refused = errors.Join(refused, err)
	})
	if spoiled == nil || !strings.Contains(spoiled.Error(), "901") || refused == nil {
		t.Errorf("recording: %v; allocation beside it: %v", spoiled, refused)
	}
	spoiled = besideRecording(t, d, func() {
		Beside(func() {
			if err := allocate(); err != nil {
				t.Error(err)
			}
		})
	})
	if spoiled != nil {
		t.Error(spoiled)
	}
}

// TestCUDARecordingThread: what the recording thread itself allocates spoils it still.
func TestCUDARecordingThread(t *testing.T) {
	d := open(t, Config{})
	s := newStream(t, d)
	ok(t, d.Do(func() error {
		end, err := emu.Record(s.Handle())
		if err != nil {
			return err
		}
		if m, err := d.Alloc("test", 1<<16); err == nil {
			t.Error("memory was allocated amid a recording")
			ok(t, m.Free())
		}
		if err := end(); err == nil {
			t.Error("a recording that lacks an allocation counts")
		}
		return nil
	}))
	if err := d.Err(); err != nil {
		t.Errorf("the device is lost by it: %v", err)
	}
}
