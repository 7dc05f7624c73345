// Package kernels is the maths that touches pixels and boxes: a decoded picture
// becomes a network's input, and a network's output becomes boxes. vision.cu is
// the definition: CUDA source that is also compiled as C++, the oracle. The code
// in cpu/ is its vectorized twin, one build for each instruction set level, of
// which the best one that the processor has is chosen at run time.
//
// The package imports no other package of this module. Every function is one
// crossing into native code, blocks only for its computation and starts no thread.
package kernels

/*
#cgo CXXFLAGS: -std=c++17 -O3 -Wall -Wextra -Wno-psabi -Wno-unknown-pragmas -fno-exceptions -fno-rtti
#include "bridge.h"
*/
import "C"

import (
	"embed"
	"unsafe"
)

// cgo's build cache watches this folder's C++ files only; embedding the sources
// that they include makes an edit of those rebuild. The linker drops the bytes.
//
//go:embed *.cu cpu/*.h
var _ embed.FS

// Format is the layout of a picture's planes: YUV 4:2:0.
type Format uint8

// Picture formats, of 8 bits a sample but for P010.
const (
	I420 Format = iota + 1 // planes Y, U, V
	NV12                   // planes Y and interleaved U, V
	P010                   // NV12 with 16 bits a sample, the value in the 10 uppermost
)

// Picture is a view of one decoded picture: in host memory, or for a Launch in
// the device's, of which Planes then are addresses. Chroma planes have half the
// luma's size, rounded up.
type Picture struct {
	Format        Format
	Width, Height int // visible size in pixels
	Planes        [3]unsafe.Pointer
	Strides       [3]int // bytes from row to row
	BT709         bool   // color matrix BT.709 instead of BT.601
	FullRange     bool   // samples span 0–255 instead of 16–235
	ChromaLeft    bool   // chroma sited at the left luma column (H.264's default) instead of between two
}

// Layout is the order of a slot's dimensions.
type Layout uint8

// Slot layouts.
const (
	NCHW Layout = iota + 1 // three planes
	NHWC                   // three values a pixel
)

// Type is the type of a slot's values.
type Type uint8

// Slot value types.
const (
	U8  Type = C.VA_U8
	F16 Type = C.VA_F16
	F32 Type = C.VA_F32
)

// Size is the bytes of one value.
func (t Type) Size() int {
	switch t {
	case U8:
		return 1
	case F16:
		return 2
	}
	return 4
}

// Order is the order of a slot's color channels.
type Order uint8

// Channel orders.
const (
	BGR Order = iota + 1
	RGB
)

// Fit says which rectangle of the slot a picture fills.
type Fit uint8

// Fits. The letterboxes keep the aspect ratio and fill the rest with Pad.
const (
	LetterboxCenter Fit = iota + 1
	LetterboxTopLeft
	Stretch
)

// Slot describes the input of a network for one picture: a row of its batch.
type Slot struct {
	Width, Height int
	Layout        Layout
	Type          Type
	Order         Order
	Mean, Scale   [3]float32 // value = (sample − Mean) × Scale, in Order's order; both zero is the identity, which U8 demands
	Pad           uint8      // the sample around a letterboxed picture, in all channels
	Fit           Fit
}

// Size is the bytes of a slot.
func (s Slot) Size() int { return s.Width * s.Height * 3 * s.Type.Size() }

// Letterbox maps picture coordinates to slot coordinates: slot = picture × Scale + Pad.
type Letterbox struct {
	ScaleX, ScaleY, PadX, PadY float32
}

// Box is a detection in slot pixels.
type Box struct {
	X1, Y1, X2, Y2, Score float32
	Class                 int32
	Anchor                int32 // which of the network's output cells it is from
	_                     int32
}

// level is an instruction set level of bridge.h.
type level int32

func (l level) String() string {
	switch l {
	case C.SL_V2:
		return "x86-64-v2"
	case C.SL_V3:
		return "x86-64-v3"
	case C.SL_V4:
		return "x86-64-v4"
	case C.SL_NEON:
		return "arm64-neon"
	}
	return "portable"
}

// Level names the code that is in use on this processor: x86-64-v2, x86-64-v3,
// x86-64-v4, arm64-neon, or portable where there is none of these.
func Level() string { return bestLevel().String() }

func bestLevel() level { return level(C.sl_level()) }
