package kernels

/*
#include "types.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// blockSize is the threads of a block: the kernels are compiled for no more.
const blockSize = 256

// Launch is one kernel of package ptx with its grid and arguments, each of which is
// 8 bytes: an address in device memory, a number, or two halves of a struct. It
// uses no dynamic shared memory. Whoever runs it keeps the memory that it names
// until it has run, and orders it behind what writes that memory. A Launch may be
// run again as long as its addresses stand.
type Launch struct {
	Kernel      string
	Grid, Block [3]uint32
	Args        []uint64
}

// over is the grid of a kernel that covers width × height places by blocks of 32 × 8
// threads, each of which has two places in a row: what the row needs is worked out once.
func over(kernel string, width, height int, args []uint64) Launch {
	return Launch{kernel, [3]uint32{blocks(width, 64), blocks(height, 8), 1}, [3]uint32{32, 8, 1}, args}
}

func blocks(n, size int) uint32 { return uint32((n + size - 1) / size) }

func word(b bool) uint64 { return uint64(flag(b)) }

// args are what kernels take of a picture in device memory: its planes, their
// strides, and the rest of a va_picture as words.
func (p *Picture) args() []uint64 {
	n := p.native()
	words := (*[unsafe.Sizeof(n) / 8]uint64)(unsafe.Pointer(&n))
	y, u, v := p.planes()
	for i, plane := range []*C.uchar{y, u, v} {
		words[i] = uint64(uintptr(unsafe.Pointer(plane)))
	}
	return words[:]
}

// LaunchPreprocess fills a row of a batch with a picture, as Preprocess.Run does
// with the bits of NewReference, padding included: slot.Size() bytes of device
// memory at row, which must be aligned to a value. One thread for two slot pixels of
// a row, blocks of 32 × 8.
func LaunchPreprocess(slot Slot, picture *Picture, row uint64) (Launch, Letterbox, error) {
	slot = slot.normal()
	if err := slot.validate(); err != nil {
		return Launch{}, Letterbox{}, fmt.Errorf("filling a network input: %w", err)
	}
	if err := picture.validate(); err != nil {
		return Launch{}, Letterbox{}, fmt.Errorf("filling a network input: %w", err)
	}
	target := slot.place(picture.Width, picture.Height)
	args := append(picture.args(), (*[unsafe.Sizeof(target) / 8]uint64)(unsafe.Pointer(&target))[:]...)
	return over("va_preprocess", slot.Width, slot.Height, append(args, row)), letterbox(&target, picture), nil
}

// LaunchThumbnail writes what Picture.Thumbnail does: width × height bytes of device
// memory at out. One thread for two bytes, blocks of 32 × 8.
func LaunchThumbnail(p *Picture, width, height int, out uint64) (Launch, error) {
	if err := p.checkThumbnail(width, height); err != nil {
		return Launch{}, err
	}
	args := []uint64{
		uint64(uintptr(p.Planes[0])), uint64(p.Strides[0]), uint64(p.Width), uint64(p.Height), word(p.Format == P010),
		out, uint64(width), uint64(height),
	}
	return over("va_thumbnail", width, height, args), nil
}

// LaunchCut writes what Picture.Cut does: c.Size() bytes of device memory at out, to
// be copied to the host at once. One thread for 4 × 2 pixels, blocks of 32 × 8.
func LaunchCut(p *Picture, c Crop, out uint64) (Launch, error) {
	if err := c.check(p); err != nil {
		return Launch{}, err
	}
	args := append(p.args(), uint64(c.X), uint64(c.Y), uint64(c.Width), uint64(c.Height), word(c.Format == I420), out)
	return over("va_crop", (c.Width+1)/2, (c.Height+1)/2, args), nil
}
