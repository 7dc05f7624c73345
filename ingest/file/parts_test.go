package file

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/internal/libav"
)

func TestAnnounced(t *testing.T) {
	fill := strings.Repeat("x", 24)
	for _, c := range []struct {
		name, file string
		want       int64
	}{
		{"riff", "RIFF\x64\x00\x00\x00AVI LIST....", 108},
		{"boxes", "\x00\x00\x00\x10ftypisom....\x00\x00\x00\x20mdat" + fill, 48},
		{"boxes cut", "\x00\x00\x00\x10ftypisom....\x00\x00\x40\x00mdat" + fill, 16 + 0x4000},
		{"boxes cut in a header", "\x00\x00\x00\x10ftypisom....\x00\x00\x00", 24},
		{"large box", "\x00\x00\x00\x10moovisom....\x00\x00\x00\x01mdat\x00\x00\x00\x01\x00\x00\x00\x00" + fill, 16 + 1<<32},
		{"box to the end", "\x00\x00\x00\x10ftypisom....\x00\x00\x00\x00mdat" + fill, 48},
		{"overflowing box", "\x00\x00\x00\x10ftypisom....\x00\x00\x00\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff" + fill, 0},
		{"no box", "\x00\x00\x00\x10ftypisom....\x00\x00\x00\x03mdat" + fill, 0},
		{"matroska", "\x1a\x45\xdf\xa3\x84....\x18\x53\x80\x67\x40\x50" + fill, 9 + 6 + 80},
		{"matroska of unknown size", "\x1a\x45\xdf\xa3\x84....\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + fill, 0},
		{"anything", strings.Repeat("G...", 10), 0},
		{"short", "RIFF", 0},
	} {
		if got := announced(strings.NewReader(c.file), int64(len(c.file))); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	const no = libav.NoTime
	ms := func(n int64) int64 {
		if n == no {
			return no
		}
		return n * int64(time.Millisecond)
	}
	for _, c := range []struct {
		name  string
		start int64
		in    [][3]int64 // PTS, DTS in ms; number in presentation order
		want  []int64    // PTS in ms
		end   time.Duration
	}{
		{"from the file's start", 1000, [][3]int64{{1040, 960, -1}, {1000, 1000, -1}, {1080, 1040, -1}}, []int64{40, 0, 80}, 120 * time.Millisecond},
		{"start not told", no, [][3]int64{{500, 500, -1}, {540, 540, -1}}, []int64{0, 40}, 80 * time.Millisecond},
		{"before the start", 1000, [][3]int64{{960, 960, -1}, {1040, 1040, -1}}, []int64{0, 40}, 80 * time.Millisecond},
		{"by picture order", no, [][3]int64{{no, no, 0}, {no, no, 3}, {no, no, 1}, {no, no, 2}, {no, no, 0}, {no, no, 1}}, []int64{0, 120, 40, 80, 160, 200}, 240 * time.Millisecond},
		{"two recordings", no, [][3]int64{{5000, 5000, -1}, {9000, 9000, -1}, {0, 0, -1}, {40, 40, -1}}, []int64{0, 4000, 4040, 4080}, 4120 * time.Millisecond},
	} {
		times := newTimes(libav.Stream{FrameInterval: 40 * time.Millisecond, Start: ms(c.start)})
		for i, in := range c.in {
			pts, _ := times.next(&libav.Packet{PTS: ms(in[0]), DTS: ms(in[1]), Picture: int(in[2])})
			if pts.Milliseconds() != c.want[i] {
				t.Errorf("%s: packet %d at %v, want %d ms", c.name, i, pts, c.want[i])
			}
		}
		if times.end != c.end {
			t.Errorf("%s: ends at %v, want %v", c.name, times.end, c.end)
		}
	}
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var p pacer
		at := func(dts, want time.Duration) {
			t.Helper()
			if err := p.wait(ctx, dts); err != nil || time.Since(began) != want {
				t.Errorf("%v came after %v, want %v, error %v", dts, time.Since(began), want, err)
			}
		}
		at(-80*time.Millisecond, 0) // the first at once, whatever its time
		at(-40*time.Millisecond, 40*time.Millisecond)
		at(920*time.Millisecond, time.Second)
		time.Sleep(500 * time.Millisecond)
		at(960*time.Millisecond, 1500*time.Millisecond) // late: hurries
		at(1920*time.Millisecond, 2*time.Second)
		time.Sleep(5 * time.Second)
		at(1960*time.Millisecond, 7*time.Second) // much too late: goes on from here
		at(2000*time.Millisecond, 7040*time.Millisecond)
		time.AfterFunc(time.Second, cancel)
		if err := p.wait(ctx, time.Hour); err != context.Canceled || time.Since(began) != 8040*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}
