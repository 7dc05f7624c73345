// Package decodetest is for tests of packages that take frames: it makes some,
// and tells which were not given back.
package decodetest

import (
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/ingest"
)

// Pattern gives the luma and chroma samples (BT.601, limited range) of a picture
// at a pixel, and takes the picture's index to make pictures differ.
type Pattern func(x, y int, index uint64) (luma, u, v byte)

// Gradient is darker in the upper left corner and moves with the index.
func Gradient(x, y int, index uint64) (luma, u, v byte) {
	return byte(16 + (x+2*y+int(index))%220), byte(64 + x%128), byte(64 + y%128)
}

// Flat is one gray.
func Flat(int, int, uint64) (luma, u, v byte) { return 128, 128, 128 }

// Live is a counter for Config.Frames that fails the test when frames are still
// out at its end, telling where each was made.
func Live(t testing.TB) *decode.Live {
	t.Helper()
	live := decode.TraceLive()
	t.Cleanup(func() {
		for _, birth := range live.Births() {
			t.Errorf("not released: %s", birth)
		}
	})
	return live
}

// NewFrame returns the index-th I420 picture of a stream "test" at 25 pictures a
// second, in Go memory, with one reference held by the caller. A nil live does
// not count it.
func NewFrame(live *decode.Live, width, height int, index uint64, pattern Pattern) *decode.Frame {
	cw, ch := (width+1)/2, (height+1)/2
	data := make([]byte, width*height+2*cw*ch)
	luma, u, v := data[:width*height], data[width*height:][:cw*ch], data[width*height+cw*ch:]
	for y := range height {
		for x := range width {
			luma[y*width+x], u[y/2*cw+x/2], v[y/2*cw+x/2] = pattern(x, y, index)
		}
	}
	pts := time.Duration(index-1) * 40 * time.Millisecond
	plane := func(b []byte, stride int) decode.Plane {
		return decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(b)), Stride: stride}
	}
	return live.New(decode.Frame{
		Stream: "test", Epoch: "1", Index: index, PTS: pts, Captured: time.Unix(1700000000, 0).UTC().Add(pts),
		Clock: ingest.Clock{Source: ingest.ClockFile}, Width: width, Height: height,
		Format: decode.I420, Color: decode.Color{Matrix: decode.BT601, ChromaLeft: true}, Memory: decode.Host,
		Planes:   [3]decode.Plane{plane(luma, width), plane(u, cw), plane(v, cw)},
		Keyframe: true,
	}, func() {})
}

// Luma copies the brightness samples of a frame in host memory, row by row without gaps.
func Luma(f *decode.Frame) []byte {
	out := make([]byte, 0, f.Width*f.Height)
	for y := range f.Height {
		row := unsafe.Add(f.Planes[0].Data, y*f.Planes[0].Stride)
		out = append(out, unsafe.Slice((*byte)(row), f.Width)...)
	}
	return out
}
