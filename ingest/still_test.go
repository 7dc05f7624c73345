package ingest

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
)

func noise(size int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, size, size))
	for i := range size * size {
		m.Set(i%size, i/size, color.RGBA{byte(i * 7), byte(i * i), byte(i * 31 >> 3), 255})
	}
	return m
}

func encoded(t testing.TB) (jpg, pic []byte) {
	t.Helper()
	var j, p bytes.Buffer
	if err := errors.Join(jpeg.Encode(&j, noise(70), nil), png.Encode(&p, noise(70))); err != nil {
		t.Fatal(err)
	}
	return j.Bytes(), p.Bytes()
}

// withThumbnail puts a whole JPEG into an APP1 segment of another, as EXIF does.
func withThumbnail(jpg []byte) []byte {
	size := len(jpg) + 2
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, byte(size >> 8), byte(size)}, jpg...)
	return append(out, jpg[2:]...)
}

func TestInspectStill(t *testing.T) {
	jpg, pic := encoded(t)
	webp := append([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L"), make([]byte, 18)...)
	bmp := append([]byte("BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00"), make([]byte, 56)...)
	for _, c := range []struct {
		name  string
		data  []byte
		codec Codec
		err   error
	}{
		{"jpeg", jpg, MJPEG, nil},
		{"jpeg with more behind it", append(bytes.Clone(jpg), "\r\n\x00"...), MJPEG, nil},
		{"jpeg with a thumbnail", withThumbnail(jpg), MJPEG, nil},
		{"jpeg cut", jpg[:len(jpg)-9], MJPEG, ErrCutShort},
		{"jpeg cut in its headers", jpg[:30], MJPEG, ErrCutShort},
		{"jpeg cut, the next behind it", append(bytes.Clone(jpg[:len(jpg)-40]), jpg...), MJPEG, ErrCutShort},
		{"png", pic, PNG, nil},
		{"png cut", pic[:len(pic)-5], PNG, ErrCutShort},
		{"webp", webp, WebP, nil},
		{"webp cut", webp[:20], WebP, ErrCutShort},
		{"bmp", bmp, BMP, nil},
		{"bmp cut", bmp[:40], BMP, ErrCutShort},
		{"tiff", []byte("II*\x00\x08\x00\x00\x00"), TIFF, nil},
		{"text", []byte("not a picture at all, but long"), "", ErrNoStill},
		{"nothing", nil, "", ErrNoStill},
	} {
		codec, err := InspectStill(c.data)
		if codec != c.codec || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, codec, err, c.codec, c.err)
		}
	}
}

// FuzzStill finds the same end of a JPEG however its bytes come in.
func FuzzStill(f *testing.F) {
	jpg, pic := encoded(f)
	f.Add(jpg, uint8(1))
	f.Add(append(withThumbnail(jpg), jpg...), uint8(7))
	f.Add(pic, uint8(3))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0, 0xff, 0xd0, 0xff, 0xd9}, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		InspectStill(data)
		var all, parts JPEGScanner
		n, done, err := all.Scan(data)
		if n > len(data) || done && (err != nil || n < 4 || !bytes.HasSuffix(data[:n], []byte{0xff, 0xd9})) {
			t.Fatalf("%d of %d bytes, done %v, %v", n, len(data), done, err)
		}
		at := 0
		for at < len(data) {
			m, finished, failed := parts.Scan(data[at:min(at+int(step)+1, len(data))])
			at += m
			if finished || failed != nil {
				if at != n || finished != done || (failed == nil) != (err == nil) {
					t.Fatalf("in parts: %d, %v, %v; at once: %d, %v, %v", at, finished, failed, n, done, err)
				}
				return
			}
		}
		if done || err != nil {
			t.Fatalf("in parts without end; at once: %d, %v, %v", n, done, err)
		}
	})
}
