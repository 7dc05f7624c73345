//go:build cuda

package cuda

import (
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Context implements Device.
func (d *device) Context() unsafe.Pointer { return d.handle }

// Do implements Device.
func (d *device) Do(f func() error) error {
	if err := d.Err(); err != nil {
		return err
	}
	return d.within(f)
}

// call is one step of the driver's, in words, unless the device is lost.
func (d *device) call(doing string, f func() error) error {
	if err := d.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var answer error
	if err := d.within(func() error { answer = f(); return nil }); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return d.check(doing, answer)
}

// within runs f with the context current, also after a loss.
func (d *device) within(f func() error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer beside()()
	if err := cu.PushCurrentCtx(d.ctx); err != nil {
		return d.check("make the context current", err)
	}
	defer cu.PopCurrentCtx()
	return f()
}

// enter counts a call, which Close waits for.
func (d *device) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("device %d: %w", d.info.Index, ErrClosed)
	}
	d.calls++
	return nil
}

func (d *device) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls--; d.calls == 0 {
		d.idle.Broadcast()
	}
}
