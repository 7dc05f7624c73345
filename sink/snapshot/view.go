package snapshot

import (
	"math"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
)

const (
	borderMargin  = 0.01 // of the frame: a box as near to its border may go on beyond
	clearlyBetter = 1.25
	grid          = 64 // places along each side of a box where sharpness is measured
)

// View is how well a frame shows an object:
//
//	√(width × height in pixels) × sharpness × score
//
// Sharpness is the mean absolute Laplacian of the brightness inside the box, at a
// distance of a 64th of the box, so that a larger box is not called sharper (a
// focus measure as in Pertuz et al., Pattern Recognition 46, 2013).
type View struct {
	Whole bool    // the box ends within the frame
	Value float64 // 0: not seen at all
}

// Judge measures the view that f, in host memory, gives of a box. It reads some
// 4000 places of the picture: tens of microseconds.
func Judge(f *decode.Frame, box detect.Rect, score float64) View {
	w, h := box.W*float64(f.Width), box.H*float64(f.Height)
	if !(w > 0 && h > 0) {
		return View{}
	}
	return View{
		Whole: box.X > borderMargin && box.Y > borderMargin && box.X+box.W < 1-borderMargin && box.Y+box.H < 1-borderMargin,
		Value: math.Sqrt(w*h) * sharpness(f, box) * score,
	}
}

// Better tells whether v is so much better than another view that it is worth a
// new picture: a whole object beats one that the border cuts, else a quarter more.
func (v View) Better(than View) bool {
	if v.Whole != than.Whole {
		return v.Whole
	}
	return v.Value > clearlyBetter*than.Value
}

// sharpness is from about 1 (nothing to see) to some 100.
func sharpness(f *decode.Frame, box detect.Rect) float64 {
	r := pixels(f, box)
	step := max(1, min(r.Dx(), r.Dy())/grid)
	x0, x1 := max(r.Min.X, step), min(r.Max.X, f.Width-step)
	y0, y1 := max(r.Min.Y, step), min(r.Max.Y, f.Height-step)
	dx, dy := max(1, (x1-x0)/grid), max(1, (y1-y0)/grid)
	p := f.Planes[0]
	var sum, n int
	for y := y0; y < y1; y += dy {
		at := func(x, y int) int { return int(*(*byte)(unsafe.Add(p.Data, y*p.Stride+x))) }
		for x := x0; x < x1; x += dx {
			l := 4*at(x, y) - at(x-step, y) - at(x+step, y) - at(x, y-step) - at(x, y+step)
			sum += max(l, -l)
			n++
		}
	}
	return 1 + float64(sum)/float64(4*max(1, n))
}
