// Package decode turns encoded packets into pictures in memory and owns that
// memory: a Frame is reference counted and goes back to its decoder's pool when
// its last holder releases it.
package decode

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"sightline/ingest"
	"sightline/kernels/cuda"
)

// PixelFormat is the memory layout of a frame's planes.
type PixelFormat uint8

// Formats a decoder hands out; it converts anything else to I420 itself.
const (
	I420 PixelFormat = iota + 1 // three planes, chroma halved both ways
	NV12                        // luma plane, then one of interleaved U and V
	P010                        // as NV12, of 16 bits a sample, little endian, of which the upper 10 or 12 count; on a device only
)

// Matrix is the color matrix of the YUV samples (ITU-T H.273 MatrixCoefficients).
type Matrix uint8

// Matrices that are told apart; anything else is mapped to the nearest by picture height.
const (
	BT601 Matrix = iota + 1
	BT709
)

// Color says how to read a frame's samples.
type Color struct {
	Matrix     Matrix
	FullRange  bool // 0–255 instead of 16–235
	ChromaLeft bool // chroma sited left (MPEG-2, H.264 default) instead of centered (JPEG)
}

// MemoryKind says where a frame's planes live.
type MemoryKind uint8

// Kinds of memory.
const (
	Host MemoryKind = iota + 1
	CUDA
)

// Plane is one plane of samples. Data points into memory that its Frame keeps
// alive, or is an address on the device where Frame.Memory says so, which the host
// must not follow; Stride is in bytes.
type Plane struct {
	Data   unsafe.Pointer
	Stride int
}

// Frame is one decoded picture. Its fields are read-only. Who receives a Frame
// releases it exactly once; Retain before sharing it. On a device, who reads it makes
// their stream wait for Ready, and keeps a reference until that work is done: the
// memory is decoded into again. Config.Held says how many may be out.
type Frame struct {
	Stream, Epoch string
	Index         uint64        // in presentation order within the epoch, from 1, pictures not decoded included
	PTS           time.Duration // since the epoch's start
	Captured      time.Time
	Received      time.Time // zero for files
	Decoded       time.Time // when the decoder handed it out; zero for files
	Clock         ingest.Clock
	Width, Height int // visible size in pixels
	Format        PixelFormat
	Color         Color
	Memory        MemoryKind
	Planes        [3]Plane
	GPU           cuda.Device // whose memory it is; nil on Host
	Ready         cuda.Event  // the picture is there when this is done; nil on Host. The frame closes it
	Keyframe      bool
	Damaged       bool // decoded from incomplete data, or from a picture that was

	refs *atomic.Int32
	free func()
}

// NewFrame returns f with one reference held by the caller. free is called once,
// by whichever goroutine gives back the last reference.
func NewFrame(f Frame, free func()) *Frame {
	f.refs, f.free = new(atomic.Int32), free
	f.refs.Store(1)
	return &f
}

// Retain adds a reference and returns f. It panics on a frame already freed.
func (f *Frame) Retain() *Frame {
	if f.refs.Add(1) < 2 {
		panic(fmt.Sprintf("decode: frame %s %d retained after its release", f.Stream, f.Index))
	}
	return f
}

// Release gives one reference back. It panics when released once too often.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n < 0:
		panic(fmt.Sprintf("decode: frame %s %d released too often", f.Stream, f.Index))
	case n == 0:
		f.free()
	}
}
