package decode_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/ingest"
	"sightline/ingest/images"
	"sightline/ingest/pattern"
	"sightline/internal/testkit"
)

// TestStills decodes a folder of every format, each in a size of its own.
func TestStills(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]string{
		"1.jpg": "64x48", "2.png": "100x80", "3.bmp": "50x40", "4.tif": "66x44", "5.jpg": "321x241", "6.webp": "72x52", "7.jpg": "64x48",
	} {
		data, err := os.ReadFile(testkit.Clip(t, name, "-f", "lavfi", "-i", "testsrc=size="+size, "-frames:v", "1", "-update", "1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, threads := range []int{1, 3} {
		config := images.Config{Path: dir, Every: time.Second, Pace: images.Fastest}
		source, err := images.New(config, "stills", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, decode.Config{Threads: threads})
		if err := source.Run(t.Context(), func(p ingest.Packet) error { return r.Decode(p, r.emit) }); err != nil {
			t.Fatal(err)
		}
		r.flush(t)
		var widths []int
		for i, f := range r.frames {
			widths = append(widths, f.Width)
			if f.Index != uint64(i+1) || f.PTS != time.Duration(i)*time.Second || f.Damaged {
				t.Errorf("frame %d: index %d at %v, damaged %v", i, f.Index, f.PTS, f.Damaged)
			}
		}
		if want := []int{64, 100, 50, 66, 321, 72, 64}; !slices.Equal(widths, want) {
			t.Errorf("%d threads: widths %v, want %v", threads, widths, want)
		}
	}
}

// TestPattern compares decoded test pictures with what was drawn, byte by byte.
func TestPattern(t *testing.T) {
	const width, height = 322, 242
	source, err := pattern.New(pattern.Config{Width: width, Height: height, FPS: 200}, "bars", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, decode.Config{Threads: 1, Live: true})
	enough := errors.New("enough")
	count := 0
	err = source.Run(t.Context(), func(p ingest.Packet) error {
		err := r.Decode(p, func(f *decode.Frame) error {
			defer f.Release()
			count++
			if f.Width != width || f.Height != height || f.Format != decode.I420 || f.Damaged {
				t.Errorf("frame %+v", f)
			}
			at := 0
			for i, size := range [][2]int{{width, height}, {width / 2, height / 2}, {width / 2, height / 2}} {
				for y := range size[1] {
					row := unsafe.Slice((*byte)(unsafe.Add(f.Planes[i].Data, y*f.Planes[i].Stride)), size[0])
					if !bytes.Equal(row, p.Data[at:at+size[0]]) {
						t.Fatalf("frame %d: plane %d, row %d is another", f.Index, i, y)
					}
					at += size[0]
				}
			}
			return nil
		})
		if count == 10 {
			return enough
		}
		return err
	})
	if err != enough {
		t.Errorf("%v after %d frames", err, count)
	}
}
