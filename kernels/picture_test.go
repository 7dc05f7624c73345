package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestThumbnail(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for i := range 200 {
		im := newImage(rng, I420+Format(i%3), 1+rng.IntN(700), 1+rng.IntN(90), rng.IntN(3)*5)
		w, h := 1+rng.IntN(60), 1+rng.IntN(40)
		if i%10 == 0 {
			w, h = im.Width, im.Height // nothing changes
		}
		got := make([]byte, w*h)
		if err := im.Thumbnail(got, w, h); err != nil {
			t.Fatal(err)
		}
		for k, v := range got {
			x := (float64(k%w)+.5)*float64(im.Width)/float64(w) - .5
			y := (float64(k/w)+.5)*float64(im.Height)/float64(h) - .5
			if want := min(255, im.at(0, x, y)); math.Abs(float64(v)-want) > .52 {
				t.Fatalf("%d of %d×%d at %d, %d, want %.2f: %+v", v, w, h, k%w, k/w, want, im.Picture)
			}
		}
	}
}

// rounded is a sample as a byte.
func (im *image) rounded(plane, x, y int) byte {
	return byte(min(255, math.Floor(im.level(plane, x, y)+.5)))
}

// plainCut puts one pixel after the other where it belongs.
func plainCut(im *image, c Crop) []byte {
	out := make([]byte, c.Size())
	offsets, strides := c.Planes()
	for y := range c.Height {
		for x := range c.Width {
			out[y*strides[0]+x] = im.rounded(0, c.X+x, c.Y+y)
		}
	}
	for y := range (c.Height + 1) / 2 {
		for x := range (c.Width + 1) / 2 {
			for k := range 2 {
				v := byte(0)
				if im.Format == I420 {
					v = im.rounded(1+k, c.X/2+x, c.Y/2+y)
				} else {
					v = im.rounded(1, 2*(c.X/2+x)+k, c.Y/2+y)
				}
				if c.Format == I420 {
					out[offsets[1+k]+y*strides[1+k]+x] = v
				} else {
					out[offsets[1]+y*strides[1]+2*x+k] = v
				}
			}
		}
	}
	return out
}

// randomCrop is a rectangle within a picture; every fourth is all of it.
func randomCrop(rng *rand.Rand, p *Picture) Crop {
	c := Crop{Width: p.Width, Height: p.Height, Format: I420 + Format(rng.IntN(2))}
	if rng.IntN(4) > 0 {
		c.X, c.Y = rng.IntN(p.Width)&^1, rng.IntN(p.Height)&^1
		c.Width, c.Height = 1+rng.IntN(p.Width-c.X), 1+rng.IntN(p.Height-c.Y)
	}
	return c
}

func TestCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	for i := range 300 {
		im := newImage(rng, I420+Format(i%3), 1+rng.IntN(60), 1+rng.IntN(60), rng.IntN(3)*5)
		c := randomCrop(rng, &im.Picture)
		got := make([]byte, c.Size()+8)
		if err := im.Cut(got, c); err != nil {
			t.Fatal(err)
		}
		want := append(plainCut(im, c), make([]byte, 8)...)
		for k := range got {
			if got[k] != want[k] {
				t.Fatalf("byte %d is %d, want %d: %+v of %+v", k, got[k], want[k], c, im.Picture)
			}
		}
	}
}

func TestCutRefuses(t *testing.T) {
	im := newImage(rand.New(rand.NewPCG(25, 26)), NV12, 9, 9, 0)
	out := make([]byte, 200)
	for name, c := range map[string]Crop{
		"odd corner":  {X: 1, Width: 2, Height: 2, Format: NV12},
		"outside":     {X: 8, Width: 2, Height: 2, Format: NV12},
		"before":      {X: -2, Width: 2, Height: 2, Format: NV12},
		"nothing":     {Width: 0, Height: 2, Format: NV12},
		"ten bits":    {Width: 2, Height: 2, Format: P010},
		"no room":     {Width: 9, Height: 9, Format: NV12},
		"no format":   {Width: 2, Height: 2},
		"huge height": {Width: 2, Height: math.MaxInt32, Format: I420},
	} {
		room := out
		if name == "no room" {
			room = out[:c.Size()-1]
		}
		if err := im.Cut(room, c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, side := range [][2]int{{0, 4}, {4, 0}, {20000, 1}, {16, 16}} {
		if err := im.Thumbnail(out, side[0], side[1]); err == nil {
			t.Errorf("a thumbnail of %d×%d in %d bytes is accepted", side[0], side[1], len(out))
		}
	}
}
