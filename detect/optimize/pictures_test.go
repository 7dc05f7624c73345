package optimize

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"sightline/decode"
	"sightline/detect"
)

// painted is a picture whose samples count up, with padding at the end of its rows.
func painted(format decode.PixelFormat, width, height int, from byte) *decode.Frame {
	f := decode.Frame{Width: width, Height: height, Format: format, Memory: decode.Host, Color: decode.Color{Matrix: decode.BT709, ChromaLeft: true}}
	planes := 3
	if format == decode.NV12 {
		planes = 2
	}
	for i := range planes {
		stride := width + 7
		data := make([]byte, stride*height)
		for k := range data {
			data[k] = from + byte(k*(i+1))
		}
		f.Planes[i] = decode.Plane{Data: unsafe.Pointer(unsafe.SliceData(data)), Stride: stride}
	}
	return decode.NewFrame(f, func() {})
}

// An album that was cut off anywhere has its whole pictures, and takes more.
func TestAlbumOutlivesItsMaker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "album")
	want := []*decode.Frame{painted(decode.I420, 7, 5, 1), painted(decode.NV12, 7, 5, 2), painted(decode.I420, 7, 5, 3)}
	a, err := OpenAlbum(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range want {
		if err := a.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	a.bytes = maxHeld
	if err := a.Add(want[0]); err == nil || !strings.Contains(err.Error(), "with 4 of them") {
		t.Errorf("more than is read: %v", err)
	}
	a.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 1, 17, 60} {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := OpenAlbum(path)
		if err != nil {
			t.Fatal(err)
		}
		kept := 3
		if cut > 0 {
			kept = 2
		}
		if again.Len() != kept {
			t.Errorf("cut by %d: %d pictures", cut, again.Len())
		}
		if cut > 0 {
			if err := again.Add(want[2]); err != nil {
				t.Fatal(err)
			}
		}
		again.Close()
		if got, _ := os.ReadFile(path); !bytes.Equal(got, whole) {
			t.Errorf("cut by %d: another file", cut)
		}
	}
	got, err := ReadAlbum(path)
	if err != nil || digest(got) != digest(want) {
		t.Errorf("other pictures: %v", err)
	}
}

func TestAlbumIsOfOneSize(t *testing.T) {
	all := OneSize([]*decode.Frame{painted(decode.I420, 8, 6, 0), painted(decode.I420, 4, 4, 0), painted(decode.I420, 4, 4, 1)})
	if len(all) != 2 || all[0].Width != 4 {
		t.Errorf("%d pictures of %d", len(all), all[0].Width)
	}
}

func FuzzPicture(f *testing.F) {
	path := filepath.Join(f.TempDir(), "album")
	a, err := OpenAlbum(path)
	if err != nil {
		f.Fatal(err)
	}
	if err := a.Add(painted(decode.NV12, 3, 3, 1)); err != nil {
		f.Fatal(err)
	}
	a.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		if pic, err := readPicture(bytes.NewReader(data)); err == nil {
			digest([]*decode.Frame{pic}) // touches every sample
		}
	})
}

func TestCompare(t *testing.T) {
	box := func(score, x float64) detect.Detection {
		return detect.Detection{Class: "person", Score: score, Box: detect.Rect{X: x, Y: .1, W: .2, H: .2}}
	}
	for name, c := range map[string]struct {
		was, is []detect.Detection
		want    Match
	}{
		"nothing":              {nil, nil, Match{}},
		"the same":             {[]detect.Detection{box(.9, 0), box(.5, .5)}, []detect.Detection{box(.8, 0), box(.6, .5)}, Match{2, 2, 0}},
		"one lost, one new":    {[]detect.Detection{box(.9, 0)}, []detect.Detection{box(.8, .5)}, Match{1, 0, 1}},
		"paired across least":  {[]detect.Detection{box(.41, 0)}, []detect.Detection{box(.39, 0)}, Match{1, 1, 0}},
		"both below":           {[]detect.Detection{box(.3, 0)}, []detect.Detection{box(.2, .5)}, Match{}},
		"at least, and alone":  {[]detect.Detection{box(.40001, 0)}, nil, Match{}},
		"one partner for both": {[]detect.Detection{box(.9, 0), box(.5, .01)}, []detect.Detection{box(.8, 0)}, Match{2, 1, 0}},
	} {
		if got := Compare(c.was, c.is, .4); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
