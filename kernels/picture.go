package kernels

/*
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// native is the picture for C, without its planes: C is given those apart, as cgo
// wants pointers.
func (p *Picture) native() C.va_picture {
	n := C.va_picture{
		y_pitch: C.longlong(p.Strides[0]), u_pitch: C.longlong(p.Strides[1]), v_pitch: C.longlong(p.Strides[2]),
		step: 1, width: C.int(p.Width), height: C.int(p.Height),
		bt709: flag(p.BT709), full_range: flag(p.FullRange), chroma_left: flag(p.ChromaLeft), deep: flag(p.Format == P010),
	}
	if p.Format != I420 {
		n.step, n.v_pitch = 2, n.u_pitch
	}
	return n
}

// planes are the first samples of Y, U and V.
func (p *Picture) planes() (y, u, v *C.uchar) {
	y, u, v = (*C.uchar)(p.Planes[0]), (*C.uchar)(p.Planes[1]), (*C.uchar)(p.Planes[2])
	if p.Format != I420 {
		v = (*C.uchar)(unsafe.Add(p.Planes[1], p.sample()))
	}
	return y, u, v
}

// sample is the bytes of a sample.
func (p *Picture) sample() int {
	if p.Format == P010 {
		return 2
	}
	return 1
}

func (p *Picture) validate() error {
	if p.Width < 1 || p.Height < 1 || p.Width > maxSide || p.Height > maxSide {
		return fmt.Errorf("picture size %d×%d is not within 1×1 and %d×%d", p.Width, p.Height, maxSide, maxSide)
	}
	half, high := (p.Width+1)/2, []int{p.Height, (p.Height + 1) / 2, (p.Height + 1) / 2}
	rows := []int{p.Width, half, half}
	switch p.Format {
	case I420:
	case NV12, P010:
		rows = []int{p.Width * p.sample(), 2 * half * p.sample()}
	default:
		return fmt.Errorf("unknown picture format %d", p.Format)
	}
	for i, row := range rows {
		if p.Planes[i] == nil || p.Strides[i] < row || p.Strides[i] > math.MaxInt32 || p.Strides[i]%p.sample() != 0 {
			return fmt.Errorf("plane %d is missing, or its stride %d does not hold rows of %d", i, p.Strides[i], row)
		}
		if p.Strides[i]*high[i] > math.MaxUint32 {
			return fmt.Errorf("plane %d has %d rows of %d bytes, which is more than 4 GiB", i, high[i], p.Strides[i])
		}
	}
	return nil
}

// Thumbnail writes the picture's brightness, width × height bytes, into dst: plain
// bilinear with half-pixel centers. It does not bring ranges together: black is 16
// where the picture's is.
func (p *Picture) Thumbnail(dst []byte, width, height int) error {
	if err := p.checkThumbnail(width, height); err != nil {
		return err
	}
	if len(dst) < width*height {
		return fmt.Errorf("making a thumbnail: %d bytes do not hold %d×%d", len(dst), width, height)
	}
	n := p.native()
	y, _, _ := p.planes()
	C.sl_thumbnail(y, n.y_pitch, n.width, n.height, n.deep, (*C.uchar)(unsafe.SliceData(dst)), C.int(width), C.int(height))
	return nil
}

func (p *Picture) checkThumbnail(width, height int) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("making a thumbnail: %w", err)
	}
	if width < 1 || height < 1 || width > maxSide || height > maxSide {
		return fmt.Errorf("making a thumbnail: %d×%d is not within 1×1 and %d×%d", width, height, maxSide, maxSide)
	}
	return nil
}

// A Crop is a rectangle of a picture as NV12 or I420 of 8 bits, without gaps
// between its rows: luma, then chroma. X and Y are even.
type Crop struct {
	X, Y, Width, Height int
	Format              Format
}

// Size is the bytes of a crop.
func (c Crop) Size() int { return c.Width*c.Height + 2*((c.Width+1)/2)*((c.Height+1)/2) }

// Planes are where the crop's planes begin, and their strides: two of NV12, three
// of I420.
func (c Crop) Planes() (offsets, strides []int) {
	luma, half := c.Width*c.Height, (c.Width+1)/2
	if c.Format == NV12 {
		return []int{0, luma}, []int{c.Width, 2 * half}
	}
	return []int{0, luma, luma + half*((c.Height+1)/2)}, []int{c.Width, half, half}
}

func (c Crop) check(p *Picture) error {
	switch err := p.validate(); {
	case err != nil:
		return fmt.Errorf("cutting a picture: %w", err)
	case c.Format != NV12 && c.Format != I420:
		return fmt.Errorf("cutting a picture: unknown format %d", c.Format)
	case c.X < 0 || c.Y < 0 || c.X%2 != 0 || c.Y%2 != 0:
		return fmt.Errorf("cutting a picture: %d, %d is no corner with even coordinates", c.X, c.Y)
	case c.Width < 1 || c.Height < 1 || c.X+c.Width > p.Width || c.Y+c.Height > p.Height:
		return fmt.Errorf("cutting a picture: %d×%d at %d, %d is not within %d×%d", c.Width, c.Height, c.X, c.Y, p.Width, p.Height)
	}
	return nil
}

// Cut writes a crop of the picture into dst, which has room for Crop.Size() bytes.
// 10 bits are rounded to 8.
func (p *Picture) Cut(dst []byte, c Crop) error {
	if err := c.check(p); err != nil {
		return err
	}
	if len(dst) < c.Size() {
		return errors.New("cutting a picture: no room for it")
	}
	n := p.native()
	y, u, v := p.planes()
	C.sl_crop(y, u, v, &n, C.int(c.X), C.int(c.Y), C.int(c.Width), C.int(c.Height), flag(c.Format == I420), (*C.uchar)(unsafe.SliceData(dst)))
	return nil
}
