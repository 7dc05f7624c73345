//go:build cuda

package cuda

import (
	"fmt"
	"log/slog"
	"slices"

	"gorgonia.org/cu"
)

// sticky are the errors that a context keeps answering until it is destroyed, or
// that say that the device is gone.
var sticky = []code{
	codeOf(cu.Deinitialized), codeDeviceUnavailable, codeOf(cu.EccUncorrectable), codeOf(cu.NvlinkUncorrectable), codeContained,
	codeOf(cu.IllegalAddress), codeOf(cu.LaunchTimeout), codeOf(cu.ContextIsDestroyed), codeOf(cu.Assert), codeOf(cu.HardwareStackError),
	codeOf(cu.IllegalInstruction), codeOf(cu.MisalignedAddress), codeOf(cu.InvalidAddressSpace), codeOf(cu.InvalidPc), codeOf(cu.LaunchFailed),
	codeTensorMemoryLeak, codeMPSClientTerminated, codeExternalDevice, codeOf(cu.Unknown),
}

// advice says what to do about an error, where that is known.
var advice = map[code]string{
	codeOf(cu.NoBinaryForGpu):      "the device is older than compute capability 7.5",
	codeUnsupportedPTX:             "the driver is older than 520: update it",
	codeOf(cu.JitCompilerNotFound): "the driver lacks libnvidia-ptxjitcompiler.so.1: install it",
	codeOf(cu.NotFound):            "the binary and its kernels do not match: build it again",
	codeOf(cu.EccUncorrectable):    "the device's memory failed: reset the device (nvidia-smi --gpu-reset), replace it if that comes again",
	codeDeviceUnavailable:          "another process has the device for itself, or it fell off the bus: see dmesg for NVRM Xid",
	codeOf(cu.Unknown):             "see dmesg for NVRM Xid",
	codeOf(cu.LaunchTimeout):       "a display's watchdog ended a kernel: use a device without a display",
}

func explain(c code) error {
	if a, ok := advice[c]; ok {
		return fmt.Errorf("%w: %s", c, a)
	}
	return c
}

// check gives the driver's answer its words, and notes a loss. It may be called
// with or without d.mu.
func (d *device) check(doing string, err error) error {
	c := codeOf(err)
	switch {
	case c == 0:
		return nil
	case slices.Contains(sticky, c):
		d.lose(fmt.Errorf("%w: %w", ErrLost, explain(c)))
		return fmt.Errorf("%s: %w", doing, d.Err())
	case c == codeOf(cu.OutOfMemory):
		return fmt.Errorf("%s: %w: %w", doing, ErrMemory, c)
	}
	return fmt.Errorf("%s: %w", doing, explain(c))
}

// lose notes why the device is lost; the first reason counts.
func (d *device) lose(err error) {
	if d.loss.CompareAndSwap(nil, &err) {
		close(d.lost)
		d.log.Error("CUDA device lost", slog.Int("index", d.info.Index), slog.String("device", d.info.Name), slog.Any("error", err))
	}
}

// Err implements Device.
func (d *device) Err() error {
	if p := d.loss.Load(); p != nil {
		return *p
	}
	return nil
}

// Lost implements Device.
func (d *device) Lost() <-chan struct{} { return d.lost }

// Fault implements Device.
func (d *device) Fault(err error) error {
	if err == nil {
		return nil
	}
	// Asking for the free memory and for the NULL stream's state wait for nothing,
	// and answer with what went wrong before.
	asked := d.call("ask for the device's state", func() error {
		if _, _, err := cu.MemInfo(); err != nil {
			return err
		}
		if err := cu.NoStream.Query(); codeOf(err) != codeOf(cu.NotReady) {
			return err
		}
		return nil
	})
	if lost := d.Err(); asked != nil && lost != nil {
		return fmt.Errorf("%w: %w", err, lost)
	}
	return err
}
