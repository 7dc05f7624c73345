package snapshot

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"time"

	"gocv.io/x/gocv"

	"sightline/decode"
	"sightline/detect"
)

// longestSide bounds a picture: what is larger is made smaller, nothing larger.
const longestSide = 1280

// ErrOutside says that an object is not in the frame.
var ErrOutside = errors.New("the object is outside of the frame")

// Picture is an encoded part of a frame. It is read-only.
type Picture struct {
	JPEG          []byte
	Width, Height int         // in pixels
	Region        detect.Rect // of the frame
	Frame         uint64      // its index
	Time          time.Time   // when it was captured
}

// Cutter makes pictures of one stream's objects. It keeps nothing but its
// settings, so the same frame and boxes give the same bytes. Safe for concurrent use.
type Cutter struct {
	quality int
	margin  float64
	fetch   Fetch // nil: frames are in host memory
}

// Fetch copies a part of a frame on a device, from even pixels on, to host memory: a
// frame of that size, which the caller releases. It blocks until the copy is there.
type Fetch func(f *decode.Frame, part image.Rectangle) (*decode.Frame, error)

// NewCutter makes one of a valid Config.
func NewCutter(cfg Config) *Cutter { return &Cutter{quality: cfg.Quality, margin: cfg.Margin} }

// With is c for frames on a device as well, of which fetch copies no more than is
// needed. Their pictures are those of the same frame in host memory.
func (c *Cutter) With(fetch Fetch) *Cutter {
	out := *c
	out.fetch = fetch
	return &out
}

// Cut encodes what f shows of box and the margin around it, after every box of
// hide was made unrecognizable, in the subject too. It takes about a millisecond;
// f stays the caller's. ErrOutside where nothing of the box is in the frame.
func (c *Cutter) Cut(f *decode.Frame, box detect.Rect, hide []detect.Rect) (*Picture, error) {
	part := c.part(f, box)
	if part.Empty() {
		return nil, ErrOutside
	}
	bgr, err := c.bgr(f, part)
	if err != nil {
		return nil, fmt.Errorf("cut a picture of frame %d: %w", f.Index, err)
	}
	defer bgr.Close()
	for _, h := range hide {
		obscure(&bgr, pixels(f, h).Sub(part.Min))
	}
	if long := max(part.Dx(), part.Dy()); long > longestSide {
		small := gocv.NewMat()
		defer small.Close()
		size := image.Pt(max(1, part.Dx()*longestSide/long), max(1, part.Dy()*longestSide/long))
		gocv.Resize(bgr, &small, size, 0, 0, gocv.InterpolationArea)
		return c.encode(f, small, part)
	}
	return c.encode(f, bgr, part)
}

// bgr is BGR of a frame wherever it is.
func (c *Cutter) bgr(f *decode.Frame, part image.Rectangle) (gocv.Mat, error) {
	if f.Memory == decode.Host || c.fetch == nil {
		return BGR(f, part)
	}
	host, err := c.fetch(f, part)
	if err != nil {
		return gocv.Mat{}, err
	}
	defer host.Release()
	return BGR(host, part.Sub(part.Min))
}

// judge is Judge of a frame wherever it is.
func (c *Cutter) judge(f *decode.Frame, box detect.Rect, score float64) (View, error) {
	read, step := measured(f, box)
	if f.Memory == decode.Host || c.fetch == nil || read.Empty() {
		return Judge(f, box, score), nil
	}
	read.Min, read.Max = read.Min.Sub(image.Pt(step, step)), read.Max.Add(image.Pt(step, step))
	read.Min.X, read.Min.Y = read.Min.X&^1, read.Min.Y&^1
	host, err := c.fetch(f, read)
	if err != nil {
		return View{}, fmt.Errorf("look at frame %d: %w", f.Index, err)
	}
	defer host.Release()
	return judge(f, box, score, host.Planes[0], read.Min), nil
}

func (c *Cutter) encode(f *decode.Frame, bgr gocv.Mat, part image.Rectangle) (*Picture, error) {
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, bgr, []int{gocv.IMWriteJpegQuality, c.quality})
	if err != nil {
		return nil, fmt.Errorf("encode a picture of frame %d: %w", f.Index, err)
	}
	defer buf.Close()
	w, h := float64(f.Width), float64(f.Height)
	return &Picture{
		JPEG: slices.Clone(buf.GetBytes()), Width: bgr.Cols(), Height: bgr.Rows(), Frame: f.Index, Time: f.Captured,
		Region: detect.Rect{X: float64(part.Min.X) / w, Y: float64(part.Min.Y) / h, W: float64(part.Dx()) / w, H: float64(part.Dy()) / h},
	}, nil
}

// part is the box with its margin in pixels of the frame, from an even one on.
func (c *Cutter) part(f *decode.Frame, box detect.Rect) image.Rectangle {
	if pixels(f, box).Intersect(image.Rect(0, 0, f.Width, f.Height)).Empty() {
		return image.Rectangle{}
	}
	mx, my := box.W*c.margin, box.H*c.margin
	r := pixels(f, detect.Rect{X: box.X - mx, Y: box.Y - my, W: box.W + 2*mx, H: box.H + 2*my}).Intersect(image.Rect(0, 0, f.Width, f.Height))
	r.Min.X, r.Min.Y = r.Min.X&^1, r.Min.Y&^1
	return r
}

// pixels is the smallest rectangle of whole pixels around a box, which may reach
// beyond the frame; empty for what is no box.
func pixels(f *decode.Frame, box detect.Rect) image.Rectangle {
	w, h := float64(f.Width), float64(f.Height)
	at := func(v float64, round func(float64) float64) int { return int(round(min(max(v, -1e6), 1e6))) }
	if !(box.W > 0 && box.H > 0) || math.IsNaN(box.X+box.Y) {
		return image.Rectangle{}
	}
	return image.Rectangle{
		Min: image.Pt(at(box.X*w, math.Floor), at(box.Y*h, math.Floor)),
		Max: image.Pt(at((box.X+box.W)*w, math.Ceil), at((box.Y+box.H)*h, math.Ceil)),
	}
}
