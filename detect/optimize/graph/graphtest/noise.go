package graphtest

import (
	"math/rand/v2"
	"unsafe"

	"sightline/decode"
)

// Noise is a picture of seeded noise, to Release.
func Noise(width, height int) *decode.Frame {
	rng := rand.New(rand.NewPCG(9, 9))
	f := decode.Frame{Width: width, Height: height, Format: decode.I420, Memory: decode.Host}
	for i := range f.Planes {
		w, h := width, height
		if i > 0 {
			w, h = (width+1)/2, (height+1)/2
		}
		data := make([]byte, w*h)
		for k := range data {
			data[k] = byte(rng.Uint32())
		}
		f.Planes[i] = decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(data)), Stride: w}
	}
	return decode.NewFrame(f, func() {})
}
