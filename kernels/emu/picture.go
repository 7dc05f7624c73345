package emu

// Luma is the brightness at x, y of the emulated decoder's picture with an order count:
// H.264's and H.265's own (modulo 65536, even for whole pictures of H.264), and for
// other codecs how many pictures the decoder took before. A picture of 16-bit samples
// has it in the upper byte.
func Luma(order, x, y int) byte { return byte(16 + (order+x/16+y/16)%200) }

// Chroma is both color differences of the sample at x, y of the chroma plane.
func Chroma(order, x, y int) (u, v byte) {
	return byte(64 + (order+x/8)%128), byte(64 + (3*order+y/8)%128)
}
