// Package cuda is the host side of CUDA: devices, streams, events and memory over
// gorgonia.org/cu and a few calls of its own. Its interfaces are in every build;
// what implements them needs the build tag cuda and the driver's library
// (libcuda.so.1), without which such a binary does not start. Everywhere else
// Devices and Open answer ErrNotBuilt, so that no other package needs the tag.
//
// Everything here is safe for concurrent use from any goroutine, unless a method
// says otherwise: each call locks its OS thread and makes the device's primary
// context current for as long as it takes.
package cuda

import (
	"errors"
	"log/slog"
	"unsafe"

	"sightline/kernels"
)

// Errors that callers tell apart; each is wrapped with what was being done.
var (
	// ErrNotBuilt is for a binary without the tag cuda.
	ErrNotBuilt = errors.New("built without CUDA: use the sightline-cuda binary (make build-cuda)")
	// ErrNoDevice is for an index that no device has.
	ErrNoDevice = errors.New("no such CUDA device")
	// ErrBudget is for an allocation that Config.Budget does not allow.
	ErrBudget = errors.New("over the device's memory budget")
	// ErrMemory is for one that the device (or, pinned, the host) has no room for.
	ErrMemory = errors.New("out of memory")
	// ErrLost is for everything after an error that the device does not recover
	// from: a kernel that failed, an illegal address, a memory fault, a device that
	// is gone. Work in flight is lost with it. Give everything back, Close the
	// device and Open it anew.
	ErrLost = errors.New("CUDA device lost")
	// ErrBusy is for closing a device of which something is still in use.
	ErrBusy = errors.New("still in use")
	// ErrClosed is for using what was closed or freed.
	ErrClosed = errors.New("closed")
)

// Config says which device to open.
type Config struct {
	Index  int          // of Devices
	Budget int64        // bytes that Alloc may have out together; 0: nine tenths of what is free at Open
	Logger *slog.Logger // nil logs nothing
}

// Info describes a device.
type Info struct {
	Index       int
	Name        string
	Driver      string // CUDA version of the driver, such as 12.4
	Compute     [2]int // compute capability, such as 8, 6
	Total, Free int64  // memory in bytes; Free is 0 where no context is open
}

// Device is an open device. Its primary context is retained once; FFmpeg, the
// kernels and ONNX Runtime share it. Open a device once in a process.
type Device interface {
	// Info describes the device, with the memory that is free now.
	Info() Info
	// Context is the primary CUcontext. It is valid until Close.
	Context() unsafe.Pointer
	// Do calls f on a locked OS thread on which the context is current, and returns
	// its error. Calls of a Device and its parts may be made inside; other goroutines
	// started by f have no context. After a loss f is not called.
	Do(f func() error) error

	// NewStream returns a stream that does not wait for the NULL stream (nor is
	// waited for by it). The caller closes it.
	NewStream() (Stream, error)
	// Alloc returns memory on the device with undefined content, counted under owner
	// and against the budget. It comes out of a cache of what was freed where that
	// fits, else from the driver, which can block for milliseconds and, when the
	// memory is full, waits for all work on the device: allocate ahead of time, not
	// per frame. The caller frees it.
	Alloc(owner string, bytes int) (Memory, error)
	// Pinned returns zeroed host memory that copies reach without a detour, and
	// without waiting. It is not counted against the budget. The caller frees it.
	Pinned(bytes int) (Pinned, error)
	// Used is how many bytes each owner has out, and "cache" has at hand.
	Used() map[string]int64

	// Lost is closed when the device is lost; Err says by what.
	Lost() <-chan struct{}
	// Err is nil until the device is lost, then an error that wraps ErrLost.
	Err() error
	// Fault takes an error of the driver that other native code met on this device
	// (FFmpeg, ONNX Runtime). It asks the driver how the device is, and returns an
	// error that wraps both err and ErrLost where the device is lost, else err.
	Fault(err error) error
	// Close gives the device back. While streams, events or memory of it are out it
	// does nothing but name them, in an error that wraps ErrBusy: give them back and
	// call it again. After a loss it resets the primary context, which destroys what
	// others still have in it, so that Open can begin anew; where the driver does
	// not recover within the process, that Open fails. A second Close does nothing.
	Close() error
}

// Stream is a queue of work on the device: what is put into it runs in order and
// after the call has returned. A Stream may be used by one goroutine at a time;
// so is what FFmpeg and ONNX Runtime put into it through Handle.
//
// An error of work in a stream shows at a later call, of any stream. After a loss
// every method but Close fails with an error that wraps ErrLost.
type Stream interface {
	// Handle is the CUstream, valid until Close.
	Handle() unsafe.Pointer
	// Launch starts a kernel of package kernels. What it reads and writes must stay
	// until the work is done.
	Launch(kernels.Launch) error
	// Upload copies src to the device. Bytes of a Pinned must stay as they are until
	// the stream got there; for any others Upload waits until it did.
	Upload(dst uint64, src []byte) error
	// Download copies from the device to dst. Bytes of a Pinned have it when the
	// stream got there; for any others Download waits until they do.
	Download(dst []byte, src uint64) error
	// Copy2D copies a rectangle, with the rules of Upload and Download for its host side.
	Copy2D(Copy2D) error
	// Fill sets n bytes on the device.
	Fill(address uint64, value byte, n int) error
	// Record returns an event that is done when all that is in the stream by now is.
	// The caller closes it.
	Record() (Event, error)
	// Wait makes what is put into the stream from now on wait for the event, which
	// may be of any stream of the same device. It does not block.
	Wait(Event) error
	// Synchronize blocks until the stream is empty, without spinning.
	Synchronize() error
	// Close gives the stream back; work in it is completed. Nil after a loss.
	Close() error
}

// Event is a point in a stream.
type Event interface {
	// Done tells whether the work before it is done. It does not block.
	Done() (bool, error)
	// Wait blocks until it is, without spinning.
	Wait() error
	// Close gives the event back. Work that waits for it is not disturbed. Nil after
	// a loss; a second Close does nothing.
	Close() error
}

// Memory is memory on the device.
type Memory interface {
	// Address is its CUdeviceptr, a multiple of 256.
	Address() uint64
	// Size is how many bytes were asked for.
	Size() int
	// HostAddress is where the host reads and writes the same bytes, nil where it
	// cannot, as with the memory of every real GPU. An emulated device has one.
	HostAddress() unsafe.Pointer
	// Free gives it back. Work that uses it must be done: another Alloc may get it
	// at once. Nil after a loss; a second Free does nothing.
	Free() error
}

// Pinned is page-locked host memory.
type Pinned interface {
	// Bytes is the memory; it must not be used after Free.
	Bytes() []byte
	// Free gives it back. Copies from and to it must be done, which after a loss none
	// is: then the memory stays until Close. A second Free does nothing.
	Free() error
}

// Place is one corner of a copy: Address on the device, or Host where that is set.
type Place struct {
	Address uint64
	Host    unsafe.Pointer // kept alive by the caller
	Pitch   int            // bytes from row to row
}

// Copy2D is a rectangle to copy: Rows of Width bytes. One side at least is on the device.
type Copy2D struct {
	To, From    Place
	Width, Rows int
}
