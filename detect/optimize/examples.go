package optimize

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"slices"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
)

// Example is a picture that both networks looked at, small, for people.
type Example struct {
	Picture  int    `json:"picture"` // among those that were compared, from 1
	Differ   int    `json:"differ"`  // boxes that only one of the two has
	Original []Mark `json:"original"`
	Made     []Mark `json:"made"`

	width, height int
	jpeg          []byte
}

// Mark is a box that was found, in 0..1 of the picture.
type Mark struct {
	Class string      `json:"class"`
	Score float64     `json:"score"`
	Box   detect.Rect `json:"box"`
	Alone bool        `json:"alone,omitempty"` // the other network has none like it
}

const (
	exampleCount = 4
	exampleWidth = 448
)

// examples are the pictures that two networks differ on most, those of the most
// boxes where they agree.
func examples(frames []*decode.Frame, original, made [][]detect.Detection, least float64) ([]Example, error) {
	all := make([]Example, len(frames))
	for i := range frames {
		all[i] = Example{Picture: i + 1, Original: marks(original[i], made[i], least), Made: marks(made[i], original[i], least)}
		for _, m := range slices.Concat(all[i].Original, all[i].Made) {
			if m.Alone {
				all[i].Differ++
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Example) int {
		return cmp.Or(b.Differ-a.Differ, len(b.Original)-len(a.Original))
	})
	all = all[:min(len(all), exampleCount)]
	for i := range all {
		if err := all[i].draw(frames[all[i].Picture-1]); err != nil {
			return nil, fmt.Errorf("keep a picture for the report: %w", err)
		}
	}
	return all, nil
}

// marks are the boxes from least on, and whether another network has them too.
func marks(boxes, others []detect.Detection, least float64) []Mark {
	out := []Mark{}
	taken := make([]bool, len(others))
	for _, d := range boxes {
		k := partner(d, others, taken)
		if k >= 0 {
			taken[k] = true
		}
		if d.Score >= least {
			alone := k < 0 || others[k].Score < least-Tolerance
			out = append(out, Mark{Class: d.Class, Score: d.Score, Box: d.Box, Alone: alone})
		}
	}
	return out
}

// draw keeps a small JPEG of a frame in host memory.
func (e *Example) draw(f *decode.Frame) error {
	e.width = min(exampleWidth, f.Width)
	e.height = max(1, f.Height*e.width/f.Width)
	picture := image.NewYCbCr(image.Rect(0, 0, e.width, e.height), image.YCbCrSubsampleRatio444)
	full := f.Color.FullRange
	for y := range e.height {
		for x := range e.width {
			at := picture.YOffset(x, y)
			fx, fy := x*f.Width/e.width, y*f.Height/e.height
			luma, cb, cr := samples(f, fx, fy, max(1, f.Width/e.width))
			if !full { // JPEG's samples use all of 0..255
				luma, cb, cr = (luma-16)*255/219, (cb-128)*255/224+128, (cr-128)*255/224+128
			}
			picture.Y[at], picture.Cb[at], picture.Cr[at] = whole8(luma), whole8(cb), whole8(cr)
		}
	}
	var out bytes.Buffer
	err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: 70})
	e.jpeg = out.Bytes()
	return err
}

func whole8(v float64) uint8 { return uint8(math.Round(min(max(v, 0), 255))) }

// samples are the mean brightness of so many pixels to the right and below, and the
// color there.
func samples(f *decode.Frame, x, y, side int) (luma, cb, cr float64) {
	n := 0.0
	for dy := range min(side, f.Height-y) {
		for dx := range min(side, f.Width-x) {
			luma += float64(sample(f.Planes[0], x+dx, y+dy))
			n++
		}
	}
	if f.Format == decode.NV12 {
		return luma / n, float64(sample(f.Planes[1], x/2*2, y/2)), float64(sample(f.Planes[1], x/2*2+1, y/2))
	}
	return luma / n, float64(sample(f.Planes[1], x/2, y/2)), float64(sample(f.Planes[2], x/2, y/2))
}

func sample(p decode.Plane, x, y int) uint8 {
	return *(*uint8)(unsafe.Add(p.Data, y*p.Stride+x))
}
