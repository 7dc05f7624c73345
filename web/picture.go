package web

import (
	"errors"
	"net/http"
	"time"
	"unsafe"

	"gocv.io/x/gocv"

	"sightline/decode"
	"sightline/detect"
)

// picture answers GET …/frame.jpg with the next decoded frame, for browsers that
// cannot decode the stream's codec. Nothing is made unless somebody asks.
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
		jpeg, err := encodeJPEG(f)
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

const jpegQuality = 80

// OpenCV's numbers for conversions that gocv has no names for.
const (
	colorNV12 = 91  // COLOR_YUV2BGR_NV12
	colorI420 = 101 // COLOR_YUV2BGR_I420
)

// encodeJPEG reads f, which the caller keeps.
func encodeJPEG(f *decode.Frame) ([]byte, error) {
	if f.Memory != decode.Host {
		return nil, errors.New("a frame in device memory has no JPEG")
	}
	width, height := f.Width&^1, f.Height&^1 // OpenCV wants whole chroma samples
	if width == 0 || height == 0 {
		return nil, errors.New("a picture below 2×2 has no JPEG")
	}
	code := gocv.ColorConversionCode(colorI420)
	if f.Format == decode.NV12 {
		code = gocv.ColorConversionCode(colorNV12)
	}
	yuv, err := gocv.NewMatFromBytes(height*3/2, width, gocv.MatTypeCV8UC1, packPlanes(f, width, height))
	if err != nil {
		return nil, err
	}
	defer yuv.Close()
	bgr := gocv.NewMat()
	defer bgr.Close()
	gocv.CvtColor(yuv, &bgr, code)
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, bgr, []int{gocv.IMWriteJpegQuality, jpegQuality})
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	return append([]byte(nil), buf.GetBytes()...), nil
}

// packPlanes copies the planes one after another without padding.
func packPlanes(f *decode.Frame, width, height int) []byte {
	out := make([]byte, 0, width*height*3/2)
	rows := func(p decode.Plane, width, height int) {
		for y := range height {
			out = append(out, unsafe.Slice((*byte)(unsafe.Add(p.Data, y*p.Stride)), width)...)
		}
	}
	rows(f.Planes[0], width, height)
	if f.Format == decode.NV12 {
		rows(f.Planes[1], width, height/2)
		return out
	}
	rows(f.Planes[1], width/2, height/2)
	rows(f.Planes[2], width/2, height/2)
	return out
}
