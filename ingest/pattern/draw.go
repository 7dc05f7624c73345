package pattern

import (
	"fmt"
	"time"

	"sightline/ingest"
)

// bars are the colors of the upper part, as Y, U, V of limited range (ITU-R
// BT.601, 75 %): white, yellow, cyan, green, magenta, red, blue, black.
const bars = "\xb4\x80\x80\xa2\x2c\x8e\x83\x9c\x2c\x70\x48\x3a\x54\xb8\xc6\x41\x64\xd4\x23\xd4\x72\x10\x80\x80"

const (
	black, white, gray = 16, 235, 128
	glyphs             = "0123456789:."
	// font has a glyph's rows in five digits, each the bits of three pixels.
	font = "755572622771747717175571174717747577111175757757170202000002"
)

// canvas draws the pictures of one run in I420.
type canvas struct {
	width, height int
	empty         []byte // what is the same on all
}

func newCanvas(width, height int) *canvas {
	c := &canvas{width, height, make([]byte, width*height*3/2)}
	for x := range width {
		bar := bars[x*8/width*3:]
		for y := range height {
			c.empty[y*width+x] = bar[0]
		}
		for y := range height / 2 {
			if x%2 == 0 {
				u, v := c.chroma(c.empty, x, 2*y)
				*u, *v = bar[1], bar[2]
			}
		}
	}
	c.fill(c.empty, 0, height*2/3, width, height, black)
	return c
}

// chroma is the color of the pixels around x, y.
func (c *canvas) chroma(picture []byte, x, y int) (u, v *byte) {
	at := y/2*(c.width/2) + x/2
	luma := c.width * c.height
	return &picture[luma+at], &picture[luma+luma/4+at]
}

// fill makes a box gray; its corners are at even places.
func (c *canvas) fill(picture []byte, x0, y0, x1, y1 int, luma byte) {
	for y := y0 &^ 1; y < y1&^1; y++ {
		row := picture[y*c.width:]
		for x := x0 &^ 1; x < x1&^1; x++ {
			row[x] = luma
			if y%2 == 0 && x%2 == 0 {
				u, v := c.chroma(picture, x, y)
				*u, *v = gray, gray
			}
		}
	}
}

// picture draws number i, from 0, which is shown at that time. The caller owns it.
func (c *canvas) picture(i int64, at time.Duration) []byte {
	p := make([]byte, len(c.empty), len(c.empty)+ingest.PacketPadding)
	copy(p, c.empty)
	// The box needs four seconds from one side to the other and back, whatever
	// the size, and a number of seconds without a common part for up and down.
	side := min(c.width, c.height) / 6
	x := swing(at, 4*time.Second, c.width-side)
	y := swing(at, 3*time.Second, c.height*2/3-side)
	c.fill(p, x, y, x+side, y+side, white)
	cell := c.height / 3 / 14 &^ 1
	c.text(p, c.height*2/3+cell, max(cell, 2), fmt.Sprintf("%08d", i))
	s := at / time.Second
	c.text(p, c.height*2/3+7*cell, max(cell, 2), fmt.Sprintf("%02d:%02d:%02d.%03d", s/3600, s/60%60, s%60, at%time.Second/time.Millisecond))
	return p
}

// swing goes to and fro between 0 and most.
func swing(at, period time.Duration, most int) int {
	phase := at % period
	if phase > period/2 {
		phase = period - phase
	}
	return int(int64(most) * int64(phase) / int64(period/2))
}

// text writes in the middle of the picture, as far as it fits.
func (c *canvas) text(picture []byte, top, cell int, s string) {
	left := max(c.width-4*cell*len(s), 0) / 2
	for i := range len(s) {
		for j, glyph := range glyphs {
			if byte(glyph) != s[i] {
				continue
			}
			for row := range 5 {
				for column := range 3 {
					x, y := left+(4*i+column)*cell, top+row*cell
					if (font[5*j+row]-'0')&(4>>column) != 0 && x+cell <= c.width && y+cell <= c.height {
						c.fill(picture, x, y, x+cell, y+cell, white)
					}
				}
			}
		}
	}
}
