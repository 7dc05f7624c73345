package snapshot

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
)

// checks is a picture of fine detail everywhere: squares of three pixels.
func checks(x, y int, _ uint64) (luma, u, v byte) {
	if (x/3+y/3)%2 == 0 {
		return 220, 100, 160
	}
	return 30, 150, 110
}

func frame(t testing.TB, w, h int, pattern decodetest.Pattern) *decode.Frame {
	t.Helper()
	f := decodetest.NewFrame(nil, w, h, 7, pattern)
	f.Epoch, f.Captured = "e", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	t.Cleanup(f.Release)
	return f
}

func cutter(margin float64) *Cutter { return NewCutter(Config{Quality: 95, Margin: margin}) }

func decoded(t testing.TB, p *Picture) image.Image {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(p.JPEG))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != p.Width || b.Dy() != p.Height {
		t.Errorf("the JPEG is %v, the picture says %dx%d", b, p.Width, p.Height)
	}
	return img
}

func TestCutKeepsMarginWithinTheFrame(t *testing.T) {
	f := frame(t, 400, 300, decodetest.Gradient)
	for _, c := range []struct {
		name          string
		margin        float64
		box, region   detect.Rect
		width, height int
	}{
		{"inside", 0.1, detect.Rect{X: .25, Y: .2, W: .25, H: .4}, detect.Rect{X: .225, Y: .16, W: .3, H: .48}, 120, 144},
		{"no margin", 0, detect.Rect{X: .25, Y: .2, W: .25, H: .4}, detect.Rect{X: .25, Y: .2, W: .25, H: .4}, 100, 120},
		{"at a corner", 0.1, detect.Rect{X: -.1, Y: -.1, W: .3, H: .4}, detect.Rect{W: .23, H: .34}, 92, 102},
		{"larger than the frame", 0.5, detect.Rect{X: -1, Y: -1, W: 3, H: 3}, detect.Rect{W: 1, H: 1}, 400, 300},
		{"a pixel", 0, detect.Rect{X: .5, Y: .5, W: 1e-9, H: 1e-9}, detect.Rect{X: .5, Y: .5, W: 1. / 400, H: 1. / 300}, 1, 1},
	} {
		p, err := cutter(c.margin).Cut(f, c.box, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		decoded(t, p)
		far := max(math.Abs(p.Region.X-c.region.X), math.Abs(p.Region.Y-c.region.Y), math.Abs(p.Region.W-c.region.W), math.Abs(p.Region.H-c.region.H))
		if far > 2.0/300 || max(p.Width-c.width, c.width-p.Width, p.Height-c.height, c.height-p.Height) > 2 {
			t.Errorf("%s: %dx%d of %+v, want %dx%d of %+v", c.name, p.Width, p.Height, p.Region, c.width, c.height, c.region)
		}
		if p.Frame != 7 || !p.Time.Equal(f.Captured) {
			t.Errorf("%s: frame %d of %v", c.name, p.Frame, p.Time)
		}
	}
	for _, box := range []detect.Rect{{X: 1.1, Y: .5, W: .2, H: .2}, {X: .5, Y: -3, W: .2, H: 1}, {}, {X: math.NaN(), W: 1, H: 1}, {X: .5, Y: .5, W: -.1, H: .1}} {
		if _, err := cutter(.1).Cut(f, box, nil); !errors.Is(err, ErrOutside) {
			t.Errorf("%+v: %v, want ErrOutside", box, err)
		}
	}
}

func TestCutNeverEnlargesAndBoundsTheSize(t *testing.T) {
	f := frame(t, 2600, 400, decodetest.Gradient)
	p, err := cutter(0).Cut(f, detect.Rect{W: 1, H: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if decoded(t, p); p.Width != longestSide || p.Height != 400*longestSide/2600 {
		t.Errorf("%dx%d", p.Width, p.Height)
	}
}

func TestCutShowsThePlaceOfTheBox(t *testing.T) {
	f := frame(t, 400, 300, func(x, y int, _ uint64) (luma, u, v byte) {
		if x >= 101 && x < 151 && y >= 61 && y < 121 {
			return 235, 128, 128
		}
		return 16, 128, 128
	})
	p, err := cutter(0).Cut(f, detect.Rect{X: 101. / 400, Y: 61. / 300, W: 50. / 400, H: 60. / 300}, nil)
	if err != nil {
		t.Fatal(err)
	}
	img := decoded(t, p)
	for _, c := range []struct {
		x, y  int
		white bool
	}{{8, 8, true}, {49, 59, true}, {20, 30, true}, {0, 30, false}, {30, 0, false}} { // the crop begins a pixel earlier, at an even one
		if got := color.GrayModel.Convert(img.At(c.x, c.y)).(color.Gray).Y; (got > 128) != c.white {
			t.Errorf("at %d, %d is %d", c.x, c.y, got)
		}
	}
}

// TestBlurredBoxesCannotBeRecognized compares the pixels of one crop with and
// without blur: nothing of the detail is left inside, and all of it outside.
func TestBlurredBoxesCannotBeRecognized(t *testing.T) {
	f := frame(t, 640, 480, checks)
	whole := detect.Rect{W: 1, H: 1}
	for _, c := range []struct {
		name string
		box  detect.Rect // hidden
		cut  detect.Rect
	}{
		{"another object within the crop", detect.Rect{X: .5, Y: .3, W: .1, H: .4}, whole},
		{"half in the crop", detect.Rect{X: .4, Y: .2, W: .2, H: .6}, detect.Rect{X: .1, Y: .1, W: .4, H: .8}},
		{"the subject", detect.Rect{X: .2, Y: .2, W: .3, H: .6}, detect.Rect{X: .2, Y: .2, W: .3, H: .6}},
		{"at the border", detect.Rect{X: -.1, Y: .5, W: .3, H: .7}, whole},
		{"tiny", detect.Rect{X: .5, Y: .5, W: .01, H: .02}, whole},
	} {
		clear, err := cutter(.3).Cut(f, c.cut, nil)
		if err != nil {
			t.Fatal(err)
		}
		hidden, err := cutter(.3).Cut(f, c.cut, []detect.Rect{c.box, {X: 5, Y: 5, W: 1, H: 1}})
		if err != nil {
			t.Fatal(err)
		}
		before, after := decoded(t, clear), decoded(t, hidden)
		origin := image.Pt(int(math.Round(clear.Region.X*640)), int(math.Round(clear.Region.Y*480)))
		inside := pixels(f, c.box).Sub(origin).Intersect(after.Bounds())
		if d := detail(after, inside); d > detail(before, inside)/20 || detail(before, inside) < 50 {
			t.Errorf("%s: detail inside is %.1f, was %.1f", c.name, d, detail(before, inside))
		}
		// What the mosaic may touch: a tenth on each side, and JPEG's own blocks of 16.
		reach := inside.Inset(-max(inside.Dx(), inside.Dy())/4 - 20)
		outside := 0
		for y := range after.Bounds().Dy() {
			for x := range after.Bounds().Dx() {
				if image.Pt(x, y).In(reach) {
					continue
				}
				outside++
				if a, b := gray(before, x, y), gray(after, x, y); a != b {
					t.Fatalf("%s: pixel %d, %d outside is %d, was %d", c.name, x, y, b, a)
				}
			}
		}
		if outside == 0 && c.name != "the subject" {
			t.Errorf("%s: nothing was compared outside", c.name)
		}
	}
}

// TestMosaicIsSizedByTheWholeBox has only a head in the picture: it must not get
// all the tiles of a body.
func TestMosaicIsSizedByTheWholeBox(t *testing.T) {
	f := frame(t, 640, 480, func(x, y int, _ uint64) (luma, u, v byte) { return byte(60 + x/4 + y/4), 128, 128 })
	person := detect.Rect{X: .3, Y: .1, W: .2, H: .9}
	p, err := cutter(0).Cut(f, detect.Rect{X: .3, Y: .1, W: .2, H: .15}, []detect.Rect{person})
	if err != nil {
		t.Fatal(err)
	}
	img := decoded(t, p)
	levels := map[int]bool{}
	for y := range p.Height {
		for x := range p.Width {
			levels[gray(img, x, y)/4] = true // JPEG's rounding aside
		}
	}
	if len(levels) > 3 {
		t.Errorf("a head is told in %d shades", len(levels))
	}
}

func TestHiddenKnowsAllBoxes(t *testing.T) {
	a, b, c := detect.Rect{X: .1, W: .1, H: .1}, detect.Rect{X: .2, W: .1, H: .1}, detect.Rect{X: .3, W: .1, H: .1}
	dets := []detect.Detection{{Class: "person", Score: .11, Box: a}, {Class: "car", Score: .9, Box: b}}
	tracks := []detect.Track{{Class: "person", Box: c, Detection: -1}, {Class: "car", Box: b}}
	if got := Hidden([]string{"person"}, dets, tracks); len(got) != 2 || got[0] != a || got[1] != c {
		t.Errorf("hidden is %v", got)
	}
	if got := Hidden(nil, dets, tracks); got != nil {
		t.Errorf("without classes: %v", got)
	}
}

// detail is the mean difference of neighboring pixels.
func detail(img image.Image, r image.Rectangle) float64 {
	sum, n := 0, 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X + 3; x < r.Max.X; x++ {
			d := gray(img, x, y) - gray(img, x-3, y)
			sum, n = sum+max(d, -d), n+1
		}
	}
	return float64(sum) / float64(max(1, n))
}

func gray(img image.Image, x, y int) int {
	return int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
}
