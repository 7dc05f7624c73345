package web

import (
	"fmt"
	"image"
	"net/http"
	"time"

	"gocv.io/x/gocv"

	"sightline/decode"
	"sightline/detect"
	"sightline/sink/snapshot"
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
	bgr, err := snapshot.BGR(f, image.Rect(0, 0, f.Width, f.Height))
	if err != nil {
		return nil, fmt.Errorf("encode a picture: %w", err)
	}
	defer bgr.Close()
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, bgr, []int{gocv.IMWriteJpegQuality, jpegQuality})
	if err != nil {
		return nil, err
	}
	defer buf.Close()
	return append([]byte(nil), buf.GetBytes()...), nil
}
