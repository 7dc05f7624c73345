package snapshot

import (
	"errors"
	"image"
	"unsafe"

	"gocv.io/x/gocv"

	"sightline/decode"
)

// BGR is a part of a frame as 8 bit blue, green and red, which the caller closes.
// The part begins at even pixels and lies within the frame; the frame stays the
// caller's. Chroma is brought to full size, and read by the frame's own matrix.
func BGR(f *decode.Frame, part image.Rectangle) (gocv.Mat, error) {
	switch {
	case f.Memory != decode.Host || f.Planes[0].Data == nil:
		return gocv.Mat{}, errors.New("the frame is outside of host memory")
	case part.Empty() || !part.In(image.Rect(0, 0, f.Width, f.Height)) || part.Min.X%2+part.Min.Y%2 != 0:
		return gocv.Mat{}, errors.New("the part begins at no even pixel, or is not within the frame")
	}
	yuv, err := fullChroma(f, part)
	if err != nil {
		return gocv.Mat{}, err
	}
	defer yuv.Close()
	m := toBGR(f.Color)
	defer m.Close()
	bgr := gocv.NewMat()
	gocv.Transform(yuv, &bgr, m)
	return bgr, nil
}

// fullChroma is a part of the frame with three samples a pixel. An odd size has
// half a chroma sample more than it shows.
func fullChroma(f *decode.Frame, part image.Rectangle) (gocv.Mat, error) {
	w, h := part.Dx(), part.Dy()
	half := image.Rect(part.Min.X/2, part.Min.Y/2, part.Min.X/2+(w+1)/2, part.Min.Y/2+(h+1)/2)
	kinds := []gocv.MatType{gocv.MatTypeCV8UC1, gocv.MatTypeCV8UC1, gocv.MatTypeCV8UC1}
	if f.Format == decode.NV12 {
		kinds = []gocv.MatType{gocv.MatTypeCV8UC1, gocv.MatTypeCV8UC2}
	}
	planes := make([]gocv.Mat, 0, 3)
	defer func() {
		for _, p := range planes {
			p.Close()
		}
	}()
	for i, kind := range kinds {
		r, bytes := half, 1
		if i == 0 {
			r = part
		}
		if kind == gocv.MatTypeCV8UC2 {
			bytes = 2
		}
		p, err := gocv.NewMatFromBytes(r.Dy(), r.Dx(), kind, packed(f.Planes[i], r, bytes))
		if err != nil {
			return gocv.Mat{}, err
		}
		planes = append(planes, p)
		if i > 0 {
			doubled := gocv.NewMat()
			gocv.Resize(p, &doubled, image.Pt(2*r.Dx(), 2*r.Dy()), 0, 0, gocv.InterpolationLinear)
			shown := doubled.Region(image.Rect(0, 0, w, h))
			whole := shown.Clone()
			shown.Close()
			doubled.Close()
			p.Close()
			planes[i] = whole
		}
	}
	yuv := gocv.NewMat()
	gocv.Merge(planes, &yuv) // joins the channels of all, be it two planes or three
	return yuv, nil
}

// packed copies a part of a plane without what is between its rows.
func packed(p decode.Plane, part image.Rectangle, bytes int) []byte {
	row := part.Dx() * bytes
	out := make([]byte, 0, row*part.Dy())
	for y := part.Min.Y; y < part.Max.Y; y++ {
		out = append(out, unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride+part.Min.X*bytes)), row)...)
	}
	return out
}

// toBGR is the matrix that takes Y, U, V and 1 to blue, green and red (ITU-R
// BT.601 and BT.709).
func toBGR(c decode.Color) gocv.Mat {
	red, blue := 0.299, 0.114
	if c.Matrix == decode.BT709 {
		red, blue = 0.2126, 0.0722
	}
	green := 1 - red - blue
	luma, chroma, black := 255.0/219, 255.0/224, 16.0
	if c.FullRange {
		luma, chroma, black = 1, 1, 0
	}
	ub, vr := 2*(1-blue)*chroma, 2*(1-red)*chroma
	ug, vg := -ub*blue/green, -vr*red/green
	m := gocv.NewMatWithSize(3, 4, gocv.MatTypeCV64F)
	for i, row := range [3][2]float64{{ub, 0}, {ug, vg}, {0, vr}} {
		m.SetDoubleAt(i, 0, luma)
		m.SetDoubleAt(i, 1, row[0])
		m.SetDoubleAt(i, 2, row[1])
		m.SetDoubleAt(i, 3, -luma*black-128*(row[0]+row[1]))
	}
	return m
}
