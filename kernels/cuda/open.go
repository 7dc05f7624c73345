//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"
)

// minCompute is what the kernels are compiled for (Turing).
const minCompute = 75

// device implements Device.
type device struct {
	log    *slog.Logger
	dev    cu.Device
	ctx    cu.CUContext
	handle unsafe.Pointer // of ctx
	info   Info
	lost   chan struct{} // closed at the first sticky error
	loss   atomic.Pointer[error]

	kernels module

	mu     sync.Mutex
	idle   sync.Cond // calls is 0
	calls  int       // under way
	closed bool
	store  store
	pinned []*pinned // by address
	events []cu.Event
	births map[any]uintptr // of streams, events, memory and pinned memory that are out
}

// Devices lists the devices of this machine.
func Devices() ([]Info, error) {
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("count CUDA devices: %w", explain(codeOf(err)))
	}
	list := make([]Info, n)
	for i := range list {
		if _, list[i], err = describe(i); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func describe(index int) (dev cu.Device, info Info, err error) {
	info.Index = index
	version := cu.Version()
	info.Driver = fmt.Sprintf("%d.%d", version/1000, version%1000/10)
	steps := []func() error{
		func() error { dev, err = cu.GetDevice(index); return err },
		func() error { info.Name, err = dev.Name(); return err },
		func() error { info.Total, err = dev.TotalMem(); return err },
		func() error { info.Compute[0], err = dev.Attribute(cu.ComputeCapabilityMajor); return err },
		func() error { info.Compute[1], err = dev.Attribute(cu.ComputeCapabilityMinor); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return dev, info, fmt.Errorf("describe CUDA device %d: %w", index, explain(codeOf(err)))
		}
	}
	return dev, info, nil
}

// Open opens a device and loads the kernels, which the driver compiles the first
// time (seconds) and remembers. The caller closes it.
func Open(c Config) (Device, error) {
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("count CUDA devices: %w", explain(codeOf(err)))
	}
	if c.Index < 0 || c.Index >= n {
		return nil, fmt.Errorf("open cuda:%d: %w: there are %d", c.Index, ErrNoDevice, n)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	d := &device{log: c.Logger, lost: make(chan struct{}), births: map[any]uintptr{}}
	d.idle.L = &d.mu
	if d.dev, d.info, err = describe(c.Index); err != nil {
		return nil, err
	}
	if cc := d.info.Compute; cc[0]*10+cc[1] < minCompute {
		return nil, fmt.Errorf("open cuda:%d: %s has compute capability %d.%d, the kernels need 7.5 (Turing) or newer", c.Index, d.info.Name, cc[0], cc[1])
	}
	Beside(func() { err = d.start(c.Budget) })
	if err == nil {
		return d, nil
	}
	if errors.Is(err, ErrLost) {
		err = fmt.Errorf("%w; where the driver does not recover by itself, restart the process", err)
	}
	return nil, fmt.Errorf("open cuda:%d: %w", c.Index, err)
}

// start takes the primary context and prepares it, or leaves nothing.
func (d *device) start(budget int64) error {
	err := d.retain()
	if err != nil {
		return err
	}
	if err = d.prepare(budget); err != nil {
		_ = d.dev.ReleasePrimaryCtx() // the first error says more
	}
	return err
}

// retain takes the primary context. Its waits block instead of spinning, unless
// somebody else has made it otherwise.
func (d *device) retain() error {
	err := d.dev.SetPrimaryCtxFlags(cu.SchedBlockingSync)
	if codeOf(err) == codeOf(cu.PrimaryContextActive) {
		err = nil
	}
	if err == nil {
		d.ctx, err = d.dev.RetainPrimaryCtx()
	}
	if err != nil {
		return d.check("take the primary context", err)
	}
	return nil
}

func (d *device) prepare(budget int64) error {
	var free int64
	err := d.call("ask for the free memory", func() (err error) {
		if d.handle, err = currentContext(); err == nil {
			free, _, err = cu.MemInfo()
		}
		return err
	})
	if err != nil {
		return err
	}
	if budget == 0 {
		budget = free / 10 * 9
	}
	d.store = newStore(budget)
	return d.load()
}

// Info implements Device.
func (d *device) Info() Info {
	info := d.info
	_ = d.call("ask for the free memory", func() (err error) { info.Free, _, err = cu.MemInfo(); return err }) // a loss is told by Err
	return info
}
