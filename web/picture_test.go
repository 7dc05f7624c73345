package web

import (
	"bytes"
	"fmt"
	"image/color"
	"image/jpeg"
	"math"
	"net/http/httptest"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
)

// plain makes a frame of one color in the given samples, rows padded.
func plain(width, height int, format decode.PixelFormat, c decode.Color, y, u, v byte) *decode.Frame {
	f := decode.Frame{Width: width, Height: height, Format: format, Color: c, Memory: decode.Host, Captured: time.Unix(1000, 123456000)}
	plane := func(width, height int, values ...byte) decode.Plane {
		stride := width*len(values) + 5
		data := make([]byte, stride*height) // between the rows is black that must not show
		for row := range height {
			for i := range width * len(values) {
				data[row*stride+i] = values[i%len(values)]
			}
		}
		return decode.Plane{Data: unsafe.Pointer(&data[0]), Stride: stride}
	}
	cw, ch := (width+1)/2, (height+1)/2
	f.Planes[0] = plane(width, height, y)
	if format == decode.NV12 {
		f.Planes[1] = plane(cw, ch, u, v)
	} else {
		f.Planes[1], f.Planes[2] = plane(cw, ch, u), plane(cw, ch, v)
	}
	return decode.NewFrame(f, func() {})
}

func TestPicturesKeepSizeAndColor(t *testing.T) {
	limited601 := decode.Color{Matrix: decode.BT601}
	for _, c := range []struct {
		color   decode.Color
		y, u, v byte
		want    color.RGBA
	}{
		{limited601, 16, 128, 128, color.RGBA{0, 0, 0, 255}},
		{limited601, 235, 128, 128, color.RGBA{255, 255, 255, 255}},
		{limited601, 81, 90, 240, color.RGBA{255, 0, 0, 255}},
		{limited601, 41, 240, 110, color.RGBA{0, 0, 255, 255}},
		{decode.Color{Matrix: decode.BT709}, 63, 102, 240, color.RGBA{255, 0, 0, 255}},
		{decode.Color{Matrix: decode.BT709}, 173, 42, 26, color.RGBA{0, 255, 0, 255}},
		{decode.Color{Matrix: decode.BT601, FullRange: true}, 76, 85, 255, color.RGBA{254, 0, 0, 255}},
	} {
		for _, size := range [][2]int{{1, 1}, {2, 2}, {3, 5}, {64, 48}, {65, 49}, {1, 40}} {
			for _, format := range []decode.PixelFormat{decode.I420, decode.NV12} {
				t.Run(fmt.Sprintf("%v %dx%d %d", c.want, size[0], size[1], format), func(t *testing.T) {
					data, err := encodeJPEG(plain(size[0], size[1], format, c.color, c.y, c.u, c.v))
					if err != nil {
						t.Fatal(err)
					}
					img, err := jpeg.Decode(bytes.NewReader(data))
					if err != nil {
						t.Fatal(err)
					}
					if b := img.Bounds(); b.Dx() != size[0] || b.Dy() != size[1] {
						t.Fatalf("size %v", b)
					}
					for _, at := range [][2]int{{0, 0}, {size[0] - 1, size[1] - 1}, {size[0] / 2, size[1] / 2}} {
						got := color.RGBAModel.Convert(img.At(at[0], at[1])).(color.RGBA)
						if far(got.R, c.want.R) || far(got.G, c.want.G) || far(got.B, c.want.B) {
							t.Fatalf("at %v: %v", at, got)
						}
					}
				})
			}
		}
	}
}

func far(a, b byte) bool { return math.Abs(float64(a)-float64(b)) > 6 }

func TestPictureTellsWhenItWasCaptured(t *testing.T) {
	p := newFake(t, onLoopback)
	released := false
	f := plain(4, 4, decode.I420, decode.Color{Matrix: decode.BT601}, 16, 128, 128)
	p.frames <- decode.NewFrame(*f, func() { released = true })
	r := httptest.NewRequest("GET", "/api/v1/streams/gate/frame.jpg", nil)
	r.Host = "localhost"
	w := request(t, p, r)
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/jpeg" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v", w.Code, w.Header())
	}
	if got := w.Header().Get("Sightline-Time"); got != "1970-01-01T00:16:40.123456Z" {
		t.Errorf("captured %s", got)
	}
	if !released {
		t.Error("the frame was not released")
	}
}
