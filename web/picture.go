package web

import (
	"errors"
	"image"
	"net/http"
	"time"
	"unsafe"

	"gocv.io/x/gocv"

	"sightline/decode"
	"sightline/detect"
)

const (
	jpegQuality  = 80
	mostEncoders = 2 // pictures encoded at a time
)

// picture answers GET …/frame.jpg with the next decoded frame, for browsers that
// cannot decode the stream's codec. Nothing is made unless somebody asks.
// Sightline-Time is when it was captured, as events of that frame have it.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	sub := s.pipeline.WatchFrames(r.PathValue("stream"), 1)
	if sub == nil {
		http.Error(w, "no stream of that name", http.StatusNotFound)
		return
	}
	defer sub.Close()
	t := time.NewTimer(firstPacket)
	defer t.Stop()
	select {
	case f := <-sub.C:
		captured := f.Captured
		s.encoders <- struct{}{}
		jpeg, err := encodeJPEG(f)
		<-s.encoders
		f.Release()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Sightline-Time", detect.FormatTime(captured))
		w.Write(jpeg)
	case <-t.C:
		http.Error(w, "the stream is not delivering", http.StatusServiceUnavailable)
	case <-r.Context().Done():
	}
}

// encodeJPEG reads f, which the caller keeps. JPEG is full-range BT.601; other
// samples are converted by way of RGB, chroma brought to full size.
func encodeJPEG(f *decode.Frame) ([]byte, error) {
	if f.Memory != decode.Host {
		return nil, errors.New("a frame in device memory has no JPEG")
	}
	yuv, err := fullChroma(f)
	if err != nil {
		return nil, err
	}
	defer yuv.Close()
	m := toBGR(f.Color)
	defer m.Close()
	bgr := gocv.NewMat()
	defer bgr.Close()
	gocv.Transform(yuv, &bgr, m)
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, bgr, []int{gocv.IMWriteJpegQuality, jpegQuality})
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	return append([]byte(nil), buf.GetBytes()...), nil
}

// fullChroma is the frame with three samples a pixel. An odd size has half a
// chroma sample more than it shows.
func fullChroma(f *decode.Frame) (gocv.Mat, error) {
	w, h := f.Width, f.Height
	cw, ch := (w+1)/2, (h+1)/2
	sizes := []struct {
		width, height int
		kind          gocv.MatType
	}{{w, h, gocv.MatTypeCV8UC1}, {cw, ch, gocv.MatTypeCV8UC1}, {cw, ch, gocv.MatTypeCV8UC1}}
	if f.Format == decode.NV12 {
		sizes = sizes[:2]
		sizes[1].kind = gocv.MatTypeCV8UC2
	}
	planes := make([]gocv.Mat, 0, 3)
	defer func() {
		for _, p := range planes {
			p.Close()
		}
	}()
	for i, s := range sizes {
		row := s.width
		if s.kind == gocv.MatTypeCV8UC2 {
			row *= 2
		}
		p, err := gocv.NewMatFromBytes(s.height, s.width, s.kind, packed(f.Planes[i], row, s.height))
		if err != nil {
			return gocv.Mat{}, err
		}
		planes = append(planes, p)
		if i > 0 {
			doubled := gocv.NewMat()
			gocv.Resize(p, &doubled, image.Pt(2*cw, 2*ch), 0, 0, gocv.InterpolationLinear)
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

// packed copies a plane's rows without what is between them.
func packed(p decode.Plane, row, rows int) []byte {
	out := make([]byte, 0, row*rows)
	for y := range rows {
		out = append(out, unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride)), row)...)
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
