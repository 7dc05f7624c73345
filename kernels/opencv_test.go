package kernels_test

import (
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"testing"
	"time"
	"unsafe"

	"gocv.io/x/gocv"

	"sightline/kernels"
)

// TestMain keeps OpenCV on one thread, which it decides on when first used.
func TestMain(m *testing.M) {
	os.Setenv("OPENCV_FOR_THREADS_NUM", "1")
	os.Exit(m.Run())
}

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

// TestSpeedBesideOpenCV reports the ratio to OpenCV on one thread, in the same run.
func TestSpeedBesideOpenCV(t *testing.T) {
	if kernels.Level() == "portable" {
		t.Skip("skipped: the portable code is a reference, not meant to be quick")
	}
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
			ratio := float64(ours) / float64(theirs)
			t.Logf("%s: %v, OpenCV %v, ratio %.2f", name, ours, theirs, ratio)
			if ratio > 1 {
				t.Errorf("%s is slower than OpenCV", name)
			}
		}
	}
}

// TestAgainstOpenCV is a second witness for placement, colors and resampling.
// OpenCV rounds between its steps, and its YCrCb is BT.601 in full range.
func TestAgainstOpenCV(t *testing.T) {
	for _, c := range []struct{ w, h, ow, oh int }{{640, 480, 416, 312}, {1920, 1080, 416, 234}, {320, 240, 500, 400}} {
		f := newFrame(t, kernels.I420, c.w, c.h)
		o := newOpenCV(t, c.ow, c.oh)
		o.run(f)
		want, err := o.to.DataPtrUint8()
		if err != nil {
			t.Fatal(err)
		}
		slot := kernels.Slot{Width: c.ow, Height: c.oh, Layout: kernels.NHWC, Type: kernels.U8, Order: kernels.BGR, Fit: kernels.Stretch}
		p, err := kernels.NewPreprocess(slot)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		got := make([]byte, slot.Size())
		if _, err := p.Run(unsafe.Pointer(&got[0]), &f.Picture); err != nil {
			t.Fatal(err)
		}
		sum, worst := 0, 0
		for i := range got {
			d := max(int(got[i])-int(want[i]), int(want[i])-int(got[i]))
			sum, worst = sum+d, max(worst, d)
		}
		if mean := float64(sum) / float64(len(got)); mean > 0.5 || worst > 3 {
			t.Errorf("%dx%d to %dx%d: mean difference %.2f, worst %d", c.w, c.h, c.ow, c.oh, mean, worst)
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

func BenchmarkDecode(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 8))
	noise := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = rng.Float32() * 0.1
		}
		return out
	}
	var heads []kernels.Head
	for stride := 8; stride <= 32; stride *= 2 {
		side := 416 / stride
		h := kernels.Head{Columns: side, Rows: side, Stride: stride, Scores: noise(side * side * 80), Bins: noise(side * side * 44)}
		for i := 17; i < side*side; i += 40 {
			h.Scores[i*80] = 0.5
		}
		heads = append(heads, h)
	}
	v8, v5 := noise(84*8400), noise(85*8400)
	for i := 0; i < 8400; i += 100 {
		v8[4*8400+i], v5[i*85+4], v5[i*85+5] = 0.5, 0.9, 0.9
	}
	boxes := make([]kernels.Box, 0, 1000)
	var err error
	for name, decode := range map[string]func() ([]kernels.Box, error){
		"NanoDet416": func() ([]kernels.Box, error) { return kernels.DecodeNanoDet(heads, 80, 11, nil, 0.1, boxes) },
		"NanoDet416Classes": func() ([]kernels.Box, error) {
			return kernels.DecodeNanoDet(heads, 80, 11, append([]bool{true, true, true}, make([]bool, 77)...), 0.1, boxes)
		},
		"YOLOv8640": func() ([]kernels.Box, error) { return kernels.DecodeYOLOv8(v8, 80, nil, 0.1, boxes) },
		"YOLOv5640": func() ([]kernels.Box, error) { return kernels.DecodeYOLOv5(v5, 80, nil, 0.1, boxes) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var kept []kernels.Box
			for b.Loop() {
				if kept, err = decode(); err != nil {
					b.Fatal(err)
				}
				if kept, err = kernels.NMS(kept, 0.6, nil, 300); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(kept)), "boxes")
		})
	}
}
