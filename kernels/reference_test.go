package kernels

import (
	"math"
	"math/rand/v2"
	"unsafe"
)

// image is a picture in Go memory with slack in its strides.
type image struct {
	Picture
	planes [3][]byte
}

func newImage(rng *rand.Rand, format Format, w, h, slack int) *image {
	cw, ch := (w+1)/2, (h+1)/2
	im := &image{Picture: Picture{Format: format, Width: w, Height: h}}
	sizes := [][2]int{{w, h}, {cw, ch}, {cw, ch}}
	if format != I420 {
		sizes = [][2]int{{w, h}, {2 * cw, ch}}
	}
	smooth := rng.IntN(2) == 0
	for i, s := range sizes {
		row := s[0] * im.sample()
		im.Strides[i] = row + slack*im.sample()
		im.planes[i] = make([]byte, im.Strides[i]*(s[1]-1)+row) // ends with the last sample
		for k := range im.planes[i] {
			im.planes[i][k] = byte(rng.Uint32())
			if smooth {
				im.planes[i][k] = byte(k/3 + rng.IntN(8))
			}
			if format == P010 && k%2 == 0 {
				im.planes[i][k] &= 0xC0 // 10 bits
			}
		}
		im.Planes[i] = unsafe.Pointer(unsafe.SliceData(im.planes[i]))
	}
	im.BT709, im.FullRange, im.ChromaLeft = rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
	return im
}

// at is the bilinear sample of channel c (0 luma, 1 U, 2 V) at x, y.
func (im *image) at(c int, x, y float64) float64 {
	w, h, plane, step, offset := im.Width, im.Height, c, 1, 0
	if c > 0 {
		w, h = (w+1)/2, (h+1)/2
		if im.Format != I420 {
			plane, step, offset = 1, 2, c-1
		}
	}
	x, y = min(max(x, 0), float64(w-1)), min(max(y, 0), float64(h-1))
	x0, y0 := int(x), int(y)
	x1, y1 := min(x0+1, w-1), min(y0+1, h-1)
	ax, ay := x-float64(x0), y-float64(y0)
	p := func(x, y int) float64 { return im.level(plane, x*step+offset, y) }
	return (p(x0, y0)*(1-ax)+p(x1, y0)*ax)*(1-ay) + (p(x0, y1)*(1-ax)+p(x1, y1)*ax)*ay
}

// level is sample x of row y of a plane, of 0 to 255, or to 255¾ with 10 bits.
func (im *image) level(plane, x, y int) float64 {
	row := im.planes[plane][y*im.Strides[plane]:]
	if im.Format == P010 {
		return float64(int(row[2*x])>>6|int(row[2*x+1])<<2) / 4
	}
	return float64(row[x])
}

// rgb converts by the matrix form of ITU-R BT.601 and BT.709.
func (im *image) rgb(y, u, v float64) [3]float64 {
	kr, kb := 0.299, 0.114
	if im.BT709 {
		kr, kb = 0.2126, 0.0722
	}
	if im.FullRange {
		most := 255.0
		if im.Format == P010 {
			most = 1023.0 / 4
		}
		y, u, v = y/most, (u-128)/most, (v-128)/most
	} else {
		y, u, v = (y-16)/219, (u-128)/224, (v-128)/224
	}
	r, b := y+2*(1-kr)*v, y+2*(1-kb)*u
	g := (y - kr*r - kb*b) / (1 - kr - kb)
	out := [3]float64{r, g, b}
	for i := range out {
		out[i] = min(max(out[i]*255, 0), 255)
	}
	return out
}

// reference is what a slot should hold, before rounding to its type, in NHWC.
func reference(s Slot, box Letterbox, w, h int, im *image) []float64 {
	out := make([]float64, s.Width*s.Height*3)
	for i := range s.Width * s.Height {
		ox, oy := float64(i%s.Width)-float64(box.PadX), float64(i/s.Width)-float64(box.PadY)
		rgb := [3]float64{float64(s.Pad), float64(s.Pad), float64(s.Pad)}
		if ox >= 0 && oy >= 0 && ox < float64(w) && oy < float64(h) {
			x := (ox+0.5)*float64(im.Width)/float64(w) - 0.5
			y := (oy+0.5)*float64(im.Height)/float64(h) - 0.5
			cx := x/2 - 0.25
			if im.ChromaLeft {
				cx = x / 2
			}
			rgb = im.rgb(im.at(0, x, y), im.at(1, cx, y/2-0.25), im.at(2, cx, y/2-0.25))
		}
		for c := range 3 {
			v := rgb[c]
			if s.Order == BGR {
				v = rgb[2-c]
			}
			if s.Type != U8 {
				v = (v - float64(s.Mean[c])) * float64(s.Scale[c])
			}
			out[i*3+c] = v
		}
	}
	return out
}

// halfToFloat decodes an IEEE 754 half.
func halfToFloat(h uint16) float64 {
	sign, exp, frac := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// values reads a filled slot into NHWC order.
func values(s Slot, raw []byte) []float64 {
	n := s.Width * s.Height
	out := make([]float64, n*3)
	for i := range out {
		var v float64
		switch p := unsafe.Pointer(&raw[i*s.Type.Size()]); s.Type {
		case U8:
			v = float64(raw[i])
		case F16:
			v = halfToFloat(*(*uint16)(p))
		default:
			v = float64(*(*float32)(p))
		}
		if s.Layout == NCHW {
			out[i%n*3+i/n] = v
		} else {
			out[i] = v
		}
	}
	return out
}
