//go:build cuda

package cuda

import (
	"fmt"
	"sync/atomic"

	"gorgonia.org/cu"
)

// maxEvents is how many events are kept for the next.
const maxEvents = 256

// event implements Event.
type event struct {
	d      *device
	e      cu.Event
	closed atomic.Bool
}

// Record implements Stream.
func (s *stream) Record() (Event, error) {
	e := &event{d: s.d}
	err := s.do("record an event", func() (err error) {
		if e.e, err = s.d.newEvent(); err != nil {
			return err
		}
		if err = e.e.Record(s.s); err != nil {
			s.d.keepEvent(e.e)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.d.born(e)
	return e, nil
}

// newEvent takes one that is free, or makes one.
func (d *device) newEvent() (cu.Event, error) {
	d.mu.Lock()
	if n := len(d.events); n > 0 {
		e := d.events[n-1]
		d.events = d.events[:n-1]
		d.mu.Unlock()
		return e, nil
	}
	d.mu.Unlock()
	return cu.MakeEvent(cu.DisableTiming | cu.BlockingSyncEvent)
}

// keepEvent puts an event aside for the next, and tells whether there was room.
func (d *device) keepEvent(e cu.Event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.events) >= maxEvents {
		return false
	}
	d.events = append(d.events, e)
	return true
}

func (e *event) do(doing string, f func() error) error {
	if e.closed.Load() {
		return fmt.Errorf("%s: it is %w", doing, ErrClosed)
	}
	return e.d.call(doing, f)
}

// Done implements Event.
func (e *event) Done() (done bool, err error) {
	err = e.do("ask for an event", func() error {
		switch err := e.e.Query(); codeOf(err) {
		case codeOf(cu.NotReady):
			return nil
		default:
			done = err == nil
			return err
		}
	})
	return done, err
}

// Wait implements Event.
func (e *event) Wait() error { return e.do("wait for an event", e.e.Synchronize) }

// Close implements Event.
func (e *event) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	e.d.died(e)
	if e.d.Err() != nil || e.d.keepEvent(e.e) {
		return nil
	}
	return e.d.call("close an event", func() error { return cu.DestroyEvent(&e.e) })
}
