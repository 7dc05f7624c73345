//go:build !cuda

package cuda

// Devices lists the devices of this machine.
func Devices() ([]Info, error) { return nil, ErrNotBuilt }

// Beside calls f, beside which nothing records CUDA graphs.
func Beside(f func()) { f() }

// Open opens a device; the caller closes it.
func Open(Config) (Device, error) { return nil, ErrNotBuilt }
