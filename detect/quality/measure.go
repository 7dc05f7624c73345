package quality

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"gocv.io/x/gocv"

	"sightline/decode"
)

// Sizes of what is looked at. What cannot be seen in so small a picture does not
// matter to a detector whose input is little larger.
const (
	thumbWidth = 320
	cellSize   = 16 // of the thumbnail: where detail is measured
	lowWidth   = 32 // of the picture's layout
	edgeWidth  = 80 // of the map of edges
)

// Levels of limited range.
const blackLevel, whiteLevel = 16, 235

// measures is what one look finds. Slices are overwritten by the next look.
type measures struct {
	width, height int       // of the frame
	samples       []byte    // picked from the picture, unfiltered: noise stays in
	bright        float64   // mean, 0..1 from black to white
	top           float64   // all but the brightest fiftieth are below, 0..1
	detail        []float32 // by cell: mean second derivative, which is what blur takes away first
	low           []float32 // a tiny picture
	edges         []float32 // a small map of gradients
}

// eye owns the native pictures that a look needs. One goroutine at a time.
type eye struct {
	thumb, picked, dx, dy, gradient, fine, low, edges gocv.Mat
	m                                                 measures
}

func newEye() *eye {
	return &eye{
		thumb: gocv.NewMat(), picked: gocv.NewMat(), dx: gocv.NewMat(), dy: gocv.NewMat(), gradient: gocv.NewMat(),
		fine: gocv.NewMat(), low: gocv.NewMat(), edges: gocv.NewMat(),
	}
}

func (e *eye) close() {
	for _, m := range []*gocv.Mat{&e.thumb, &e.picked, &e.dx, &e.dy, &e.gradient, &e.fine, &e.low, &e.edges} {
		m.Close()
	}
}

// look measures a frame by rows of its luma.
func (e *eye) look(f *decode.Frame, luma gocv.Mat) (*measures, error) {
	w := min(thumbWidth, f.Width)
	h := max(2*cellSize, f.Height*w/f.Width)
	gocv.Resize(luma, &e.thumb, image.Pt(w, h), 0, 0, gocv.InterpolationLinear) // of all samples would cost six times as much
	gocv.Resize(luma, &e.picked, image.Pt(w, h), 0, 0, gocv.InterpolationNearestNeighbor)
	gocv.Resize(e.thumb, &e.low, image.Pt(lowWidth, max(2, h*lowWidth/w)), 0, 0, gocv.InterpolationArea)
	gocv.Sobel(e.thumb, &e.dx, gocv.MatTypeCV16S, 1, 0, 3, 1, 0, gocv.BorderReplicate)
	gocv.Sobel(e.thumb, &e.dy, gocv.MatTypeCV16S, 0, 1, 3, 1, 0, gocv.BorderReplicate)
	gocv.ConvertScaleAbs(e.dx, &e.dx, 0.25, 0)
	gocv.ConvertScaleAbs(e.dy, &e.dy, 0.25, 0)
	gocv.AddWeighted(e.dx, 1, e.dy, 1, 0, &e.gradient)
	gocv.Laplacian(e.thumb, &e.fine, gocv.MatTypeCV16S, 1, 1, 0, gocv.BorderReplicate)
	gocv.ConvertScaleAbs(e.fine, &e.fine, 1, 0)
	gocv.Resize(e.gradient, &e.edges, image.Pt(edgeWidth, max(2, h*edgeWidth/w)), 0, 0, gocv.InterpolationArea)
	m := &e.m
	m.width, m.height = f.Width, f.Height
	if err := e.copyOut(); err != nil {
		return nil, err
	}
	return m, e.levels(f.Color.FullRange, w, h)
}

// brightness is a view of the frame's luma plane, of every so many rows: two to
// each of the thumbnail's are enough. The memory may end with the last row's last
// sample, so what would reach beyond that is left out.
func brightness(f *decode.Frame) (gocv.Mat, error) {
	p := f.Planes[0]
	if f.Memory != decode.Host || p.Data == nil {
		return gocv.Mat{}, errors.New("it is outside of host memory")
	}
	if p.Stride < f.Width || small(f) {
		return gocv.Mat{}, errSmall(f)
	}
	step := Step(f)
	rows := ((f.Height-1)*p.Stride + f.Width) / (step * p.Stride)
	whole, err := gocv.NewMatFromBytes(rows, step*p.Stride, gocv.MatTypeCV8UC1, unsafe.Slice((*byte)(p.Data), rows*step*p.Stride))
	if err != nil {
		return gocv.Mat{}, err
	}
	defer whole.Close()
	return whole.Region(image.Rect(0, 0, f.Width, rows)), nil
}

// Step is how many rows of a frame a look takes one of.
func Step(f *decode.Frame) int { return max(1, f.Width/thumbWidth/2) }

func small(f *decode.Frame) bool { return f.Width < 2*cellSize || f.Height < 2*cellSize }

func errSmall(f *decode.Frame) error { return fmt.Errorf("%dx%d is too small", f.Width, f.Height) }

// of is a view of rows of a frame's luma, one of every Step.
func of(f *decode.Frame, rows []byte) (gocv.Mat, error) {
	n := f.Height / Step(f)
	if small(f) || len(rows) < n*f.Width {
		return gocv.Mat{}, errSmall(f)
	}
	return gocv.NewMatFromBytes(n, f.Width, gocv.MatTypeCV8UC1, rows[:n*f.Width])
}

func (e *eye) copyOut() error {
	m := &e.m
	for _, c := range []struct {
		from *gocv.Mat
		to   *[]float32
	}{{&e.low, &m.low}, {&e.edges, &m.edges}} {
		pixels, err := c.from.DataPtrUint8()
		if err != nil {
			return err
		}
		*c.to = (*c.to)[:0]
		for _, p := range pixels {
			*c.to = append(*c.to, float32(p))
		}
	}
	pixels, err := e.picked.DataPtrUint8()
	m.samples = append(m.samples[:0], pixels...)
	return err
}

// levels finds how bright the thumbnail is, and how much detail its cells have.
func (e *eye) levels(fullRange bool, w, h int) error {
	thumb, err := e.thumb.DataPtrUint8()
	if err != nil {
		return err
	}
	fine, err := e.fine.DataPtrUint8()
	if err != nil {
		return err
	}
	var histogram [256]int
	for _, p := range thumb {
		histogram[p]++
	}
	black, white := float64(blackLevel), float64(whiteLevel)
	if fullRange {
		black, white = 0, 255
	}
	sum, count, top := 0, 0, -1
	for level, n := range histogram {
		sum += level * n
		if count += n; top < 0 && count >= len(thumb)*49/50 {
			top = level
		}
	}
	m := &e.m
	m.bright = (float64(sum)/float64(len(thumb)) - black) / (white - black)
	m.top = (float64(top) - black) / (white - black)
	m.detail = m.detail[:0]
	for y := 0; y+cellSize <= h; y += cellSize {
		for x := 0; x+cellSize <= w; x += cellSize {
			cell := 0
			for row := y; row < y+cellSize; row++ {
				for _, g := range fine[row*w+x:][:cellSize] {
					cell += int(g)
				}
			}
			m.detail = append(m.detail, float32(cell)/(cellSize*cellSize))
		}
	}
	return nil
}
