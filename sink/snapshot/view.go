package snapshot

import (
	"image"
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
	return judge(f, box, score, f.Planes[0], image.Point{})
}

// judge is Judge with the brightness of a part of f that begins at origin.
func judge(f *decode.Frame, box detect.Rect, score float64, luma decode.Plane, origin image.Point) View {
	w, h := box.W*float64(f.Width), box.H*float64(f.Height)
	if !(w > 0 && h > 0) {
		return View{}
	}
	return View{
		Whole: box.X > borderMargin && box.Y > borderMargin && box.X+box.W < 1-borderMargin && box.Y+box.H < 1-borderMargin,
		Value: math.Sqrt(w*h) * sharpness(f, box, luma, origin) * score,
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

// measured is where sharpness is measured, empty where that is nowhere, and how far
// around each place it looks, which is within the frame.
func measured(f *decode.Frame, box detect.Rect) (places image.Rectangle, step int) {
	r := pixels(f, box)
	step = max(1, min(r.Dx(), r.Dy())/grid)
	return image.Rectangle{
		Min: image.Pt(max(r.Min.X, step), max(r.Min.Y, step)),
		Max: image.Pt(min(r.Max.X, f.Width-step), min(r.Max.Y, f.Height-step)),
	}, step
}

// sharpness is from about 1 (nothing to see) to some 100.
func sharpness(f *decode.Frame, box detect.Rect, luma decode.Plane, origin image.Point) float64 {
	r, step := measured(f, box)
	dx, dy := max(1, r.Dx()/grid), max(1, r.Dy()/grid)
	var sum, n int
	for y := r.Min.Y; y < r.Max.Y; y += dy {
		at := func(x, y int) int {
			return int(*(*byte)(unsafe.Add(luma.Data, (y-origin.Y)*luma.Stride+x-origin.X)))
		}
		for x := r.Min.X; x < r.Max.X; x += dx {
			l := 4*at(x, y) - at(x-step, y) - at(x+step, y) - at(x, y-step) - at(x, y+step)
			sum += max(l, -l)
			n++
		}
	}
	return 1 + float64(sum)/float64(4*max(1, n))
}
