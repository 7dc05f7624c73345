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

// TestPictures draws the same pictures run after run, each another.
func TestPictures(t *testing.T) {
	const width, height = 322, 242
	var pictures [][]byte
	err := source(t, width, height, 200).Run(t.Context(), func(p ingest.Packet) error {
		if c := p.Container; p.Codec != "rawvideo" || c.Width != width || c.Height != height || c.PixelFormat != "yuv420p" {
			t.Errorf("%s, %+v", p.Codec, c)
		}
		if pictures = append(pictures, p.Data); len(pictures) == 20 {
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatal(err)
	}
	c := newCanvas(width, height)
	for i := range pictures {
		if !bytes.Equal(pictures[i], c.picture(int64(i), source(t, width, height, 200).at(int64(i)))) {
			t.Errorf("picture %d is drawn otherwise the second time", i)
		}
		if i > 0 && bytes.Equal(pictures[i], pictures[i-1]) {
			t.Errorf("picture %d is the one before", i)
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
