package pattern

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

var errEnough = errors.New("enough")

func source(t *testing.T, width, height int, fps float64) *Source {
	t.Helper()
	s, err := New(Config{width, height, fps}, "bars", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "pattern", Live: true, New: func(t *testing.T) ingest.Source {
		return source(t, 160, 120, 100)
	}})
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{{16, 8192, 240}, {1280, 720, 0.1}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []Config{{}, {641, 360, 25}, {14, 360, 25}, {640, 8194, 25}, {640, 360, math.NaN()}, {640, 360, 241}, {640, 360, -1}} {
		if _, err := New(c, "bars", slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// TestTimes runs for hours: pictures keep their grid, and a reader that stops for
// long misses pictures and no time.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := source(t, 16, 16, 29.97)
		began := time.Now()
		count, last := 0, time.Duration(0)
		err := s.Run(context.Background(), func(p ingest.Packet) error {
			if at := time.Since(began); at-p.PTS > 40*time.Millisecond || at < p.PTS || !p.Captured.Equal(began.Add(p.PTS)) {
				t.Errorf("picture %d came at %v with PTS %v, captured %v", count, at, p.PTS, p.Captured)
				return errEnough
			}
			last = p.PTS
			switch count++; count {
			case 50_000:
				time.Sleep(time.Minute)
			case 100_000:
				return errEnough
			}
			return nil
		})
		// 99,999 steps and those of a minute.
		want := s.at(99_999) + time.Minute
		if err != errEnough || (last-want).Abs() > 100*time.Millisecond {
			t.Errorf("%v, the last at %v, want %v", err, last, want)
		}
	})
}

// TestDecoded sends pictures through the decoder and compares them byte by byte.
func TestDecoded(t *testing.T) {
	d, err := decode.New(decode.Config{Threads: 1, Live: true, Frames: decodetest.Live(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const width, height = 322, 242
	var pictures [][]byte
	frames := 0
	err = source(t, width, height, 200).Run(t.Context(), func(p ingest.Packet) error {
		err := d.Decode(p, func(f *decode.Frame) error {
			defer f.Release()
			frames++
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
		if pictures = append(pictures, p.Data); len(pictures) == 20 {
			return errEnough
		}
		return err
	})
	if err != errEnough || frames != 20 {
		t.Fatalf("%v, %d frames", err, frames)
	}
	for i := range pictures[1:] {
		if bytes.Equal(pictures[i], pictures[i+1]) {
			t.Errorf("pictures %d and %d are the same", i, i+1)
		}
	}
	// The same run after run.
	c := newCanvas(width, height)
	for i := range pictures {
		if !bytes.Equal(pictures[i], c.picture(int64(i), source(t, width, height, 200).at(int64(i)))) {
			t.Errorf("picture %d is drawn otherwise the second time", i)
		}
	}
}

// TestSizes draws the smallest and odd shapes.
func TestSizes(t *testing.T) {
	for _, size := range [][2]int{{16, 16}, {16, 8192}, {8192, 16}, {18, 1000}, {1000, 18}} {
		c := newCanvas(size[0], size[1])
		for _, i := range []int64{0, 1, 99, 1 << 40} {
			if p := c.picture(i, time.Duration(i)*time.Millisecond); len(p) != size[0]*size[1]*3/2 || cap(p)-len(p) < ingest.PacketPadding {
				t.Errorf("%v: %d bytes", size, len(p))
			}
		}
	}
}
