package kernels_test

import (
	"fmt"
	"image"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"gocv.io/x/gocv"

	"sightline/kernels"
)

// frame is a picture in Go memory and, over the same bytes, OpenCV's view of it.
type frame struct {
	kernels.Picture
	mats [3]gocv.Mat
}

func newFrame(t testing.TB, format kernels.Format, w, h int) *frame {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	f := &frame{Picture: kernels.Picture{Format: format, Width: w, Height: h, FullRange: true}}
	plane := func(i, w, h, channels int, typ gocv.MatType) {
		data := make([]byte, w*h*channels)
		for k := range data {
			data[k] = byte(k/7 + rng.IntN(16))
		}
		f.Planes[i], f.Strides[i] = unsafe.Pointer(&data[0]), w*channels
		m, err := gocv.NewMatFromBytes(h, w, typ, data)
		if err != nil {
			t.Fatal(err)
		}
		f.mats[i] = m
		t.Cleanup(func() { m.Close() })
	}
	plane(0, w, h, 1, gocv.MatTypeCV8UC1)
	if format == kernels.NV12 {
		plane(1, w/2, h/2, 2, gocv.MatTypeCV8UC2)
		return f
	}
	plane(1, w/2, h/2, 1, gocv.MatTypeCV8UC1)
	plane(2, w/2, h/2, 1, gocv.MatTypeCV8UC1)
	return f
}

// opencv is OpenCV's best order: the planes are resized first, then converted.
type opencv struct {
	size           image.Point
	y, u, v, c, to gocv.Mat
}

func newOpenCV(t testing.TB, w, h int) *opencv {
	o := &opencv{size: image.Pt(w, h), y: gocv.NewMat(), u: gocv.NewMat(), v: gocv.NewMat(), c: gocv.NewMat(), to: gocv.NewMat()}
	t.Cleanup(func() {
		for _, m := range []*gocv.Mat{&o.y, &o.u, &o.v, &o.c, &o.to} {
			m.Close()
		}
	})
	return o
}

func (o *opencv) run(f *frame) {
	gocv.Resize(f.mats[0], &o.y, o.size, 0, 0, gocv.InterpolationLinear)
	gocv.Resize(f.mats[1], &o.u, o.size, 0, 0, gocv.InterpolationLinear)
	gocv.Resize(f.mats[2], &o.v, o.size, 0, 0, gocv.InterpolationLinear)
	gocv.Merge([]gocv.Mat{o.y, o.v, o.u}, &o.c)
	gocv.CvtColor(o.c, &o.to, gocv.ColorYCrCbToBGR)
}

func fastest(n int, f func()) time.Duration {
	best := time.Hour
	for range n {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

// TestSpeedBesideOpenCV reports, and asserts only that no mistake of a whole order
// of magnitude is made: machines differ, and run other things.
func TestSpeedBesideOpenCV(t *testing.T) {
	for _, c := range []struct{ w, h, ow, oh int }{{1920, 1080, 416, 234}, {1280, 720, 416, 234}, {768, 576, 416, 312}} {
		f := newFrame(t, kernels.I420, c.w, c.h)
		o := newOpenCV(t, c.ow, c.oh)
		theirs := fastest(60, func() { o.run(f) })
		for _, slot := range []kernels.Slot{
			{Layout: kernels.NHWC, Type: kernels.U8},
			{Layout: kernels.NCHW, Type: kernels.U8},
			{Layout: kernels.NCHW, Type: kernels.F32, Mean: [3]float32{103, 116, 123}, Scale: [3]float32{.017, .018, .019}},
		} {
			slot.Width, slot.Height, slot.Order, slot.Fit = c.ow, c.oh, kernels.BGR, kernels.Stretch
			p, err := kernels.NewPreprocess(slot)
			if err != nil {
				t.Fatal(err)
			}
			out := make([]byte, slot.Size())
			ours := fastest(60, func() { _, err = p.Run(unsafe.Pointer(&out[0]), &f.Picture) })
			p.Close()
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s %dx%d to %dx%d layout %d type %d", kernels.Level(), c.w, c.h, c.ow, c.oh, slot.Layout, slot.Type)
			t.Logf("%s: %v, OpenCV %v, ratio %.2f", name, ours, theirs, float64(ours)/float64(theirs))
		}
	}
}

func BenchmarkPreprocess(b *testing.B) {
	for _, c := range []struct {
		format kernels.Format
		w, h   int
	}{{kernels.I420, 1920, 1080}, {kernels.NV12, 1920, 1080}, {kernels.I420, 1280, 720}, {kernels.I420, 768, 576}, {kernels.I420, 3840, 2160}} {
		f := newFrame(b, c.format, c.w, c.h)
		slot := kernels.Slot{Width: 416, Height: 416 * c.h / c.w, Layout: kernels.NCHW, Type: kernels.F32, Order: kernels.BGR, Fit: kernels.LetterboxCenter}
		b.Run(fmt.Sprintf("%d/%dx%d", c.format, c.w, c.h), func(b *testing.B) {
			p, err := kernels.NewPreprocess(slot)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			out := make([]byte, slot.Size())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Run(unsafe.Pointer(&out[0]), &f.Picture); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
