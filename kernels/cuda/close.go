//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"gorgonia.org/cu"
)

// born notes that something is out, and who took it: the caller of the function
// that calls born.
func (d *device) born(thing any) {
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	d.mu.Lock()
	d.births[thing] = pc[0]
	d.mu.Unlock()
}

func (d *device) died(thing any) {
	d.mu.Lock()
	delete(d.births, thing)
	d.mu.Unlock()
}

// alive names what is out, such as "2 streams of decode.open", "" where nothing is.
func (d *device) alive() string {
	count := map[string]int{}
	for thing, pc := range d.births {
		what := "event"
		switch m := thing.(type) {
		case *stream:
			what = "stream"
		case *memory:
			what = fmt.Sprintf("memory of %d bytes for %s", m.bytes, m.owner)
		case *pinned:
			what = fmt.Sprintf("pinned memory of %d bytes", len(m.bytes))
		}
		at, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		count[fmt.Sprintf("%s (%s)", what, at.Function[strings.LastIndex(at.Function, "/")+1:])]++
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		names = append(names, fmt.Sprintf("%d× %s", count[name], name))
	}
	return strings.Join(names, ", ")
}

// Close implements Device.
func (d *device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	if alive := d.alive(); alive != "" {
		d.mu.Unlock()
		return fmt.Errorf("close cuda:%d: %w: %s", d.info.Index, ErrBusy, alive)
	}
	d.closed = true
	for d.calls > 0 {
		d.idle.Wait()
	}
	d.mu.Unlock()
	if err := d.end(); err != nil {
		return fmt.Errorf("close cuda:%d: %w", d.info.Index, err)
	}
	return nil
}

func (d *device) end() (err error) {
	last := d.empty
	if d.Err() != nil {
		last = d.dev.ResetPrimaryCtx // which does not give our reference back
	}
	Beside(func() { err = errors.Join(last(), d.dev.ReleasePrimaryCtx()) })
	return err
}

// empty gives back what the device keeps for itself, on a locked thread.
func (d *device) empty() error {
	if err := cu.PushCurrentCtx(d.ctx); err != nil {
		return err
	}
	defer cu.PopCurrentCtx()
	err := d.drop(d.store.oldest)
	for _, e := range d.events {
		err = errors.Join(err, cu.DestroyEvent(&e))
	}
	d.events = nil
	return errors.Join(err, d.kernels.unload())
}
