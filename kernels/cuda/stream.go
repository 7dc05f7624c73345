//go:build cuda

package cuda

import (
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// stream implements Stream.
type stream struct {
	d      *device
	s      cu.Stream
	closed bool
	params []unsafe.Pointer // of the last launch, reused
}

// NewStream implements Device.
func (d *device) NewStream() (Stream, error) {
	s := &stream{d: d}
	if err := d.call("make a stream", func() (err error) { s.s, err = cu.MakeStream(cu.NonBlocking); return err }); err != nil {
		return nil, err
	}
	d.born(s)
	return s, nil
}

// Handle implements Stream.
func (s *stream) Handle() unsafe.Pointer { return unsafe.Pointer(s.s.C()) }

// do is one step of a stream's.
func (s *stream) do(doing string, f func() error) error {
	if s.closed {
		return fmt.Errorf("%s: the stream is %w", doing, ErrClosed)
	}
	return s.d.call(doing, f)
}

// Upload implements Stream.
func (s *stream) Upload(dst uint64, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(src))
	return s.do("copy to the device", func() error {
		err := cu.MemcpyHtoDAsync(cu.DevicePtr(dst), p, int64(len(src)), s.s)
		return s.copied(err, p, len(src))
	})
}

// Download implements Stream.
func (s *stream) Download(dst []byte, src uint64) error {
	if len(dst) == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(dst))
	return s.do("copy from the device", func() error {
		err := cu.MemcpyDtoHAsync(p, cu.DevicePtr(src), int64(len(dst)), s.s)
		return s.copied(err, p, len(dst))
	})
}

// copied waits for a copy from or to n bytes at p that are not pinned. Mostly the
// driver has waited itself or kept a copy, but it need not where the device reads
// all of the host's memory; and what is Go's may be another's soon.
func (s *stream) copied(err error, p unsafe.Pointer, n int) error {
	if err == nil && !s.d.isPinned(p, n) {
		err = s.s.Synchronize()
	}
	runtime.KeepAlive(p)
	return err
}

// Copy2D implements Stream.
func (s *stream) Copy2D(c Copy2D) error {
	switch {
	case c.Width < 0 || c.Rows < 0 || c.Width > c.To.Pitch || c.Width > c.From.Pitch:
		return fmt.Errorf("copy %d rows of %d bytes, %d and %d apart: they do not fit", c.Rows, c.Width, c.From.Pitch, c.To.Pitch)
	case c.Width == 0 || c.Rows == 0:
		return nil
	}
	return s.do("copy a rectangle", func() error {
		err := copy2D(s.s, c)
		for _, p := range []Place{c.To, c.From} {
			if p.Host != nil {
				err = s.copied(err, p.Host, (c.Rows-1)*p.Pitch+c.Width)
			}
		}
		return err
	})
}

// Fill implements Stream.
func (s *stream) Fill(address uint64, value byte, n int) error {
	if n == 0 {
		return nil
	}
	return s.do("fill memory", func() error { return cu.MemsetD8Async(cu.DevicePtr(address), value, int64(n), s.s) })
}

// Wait implements Stream.
func (s *stream) Wait(e Event) error {
	ev, ok := e.(*event)
	if !ok || ev.d != s.d {
		return fmt.Errorf("wait for an event: it is of another device")
	}
	if ev.closed.Load() {
		return fmt.Errorf("wait for an event: it is %w", ErrClosed)
	}
	return s.do("wait for an event", func() error { return s.s.Wait(ev.e, 0) })
}

// Synchronize implements Stream.
func (s *stream) Synchronize() error { return s.do("wait for the stream", s.s.Synchronize) }

// Close implements Stream.
func (s *stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.d.died(s)
	if s.d.Err() != nil {
		return nil // it goes with the context
	}
	return s.d.call("close a stream", func() error { return s.s.Destroy() })
}
