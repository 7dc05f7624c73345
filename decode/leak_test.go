package decode_test

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"sightline/decode"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/internal/testkit"
)

// TestNativeMemory opens, decodes, fails and closes over and over; the process
// stays as large as it was. Go's own counters do not see what FFmpeg allocates.
func TestNativeMemory(t *testing.T) {
	good := testkit.Clip(t, "clip.mp4", append(testsrc(320, 240, 8), "-c:v", "libx264", "-bf", "2")...)
	other := testkit.Clip(t, "clip.mkv", append(testsrc(320, 240, 8), "-c:v", "mjpeg", "-pix_fmt", "yuvj422p")...)
	pass := func(path string, keep int) {
		source, err := file.New(file.Config{Path: path, Pace: file.Fastest}, "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		d, err := decode.New(decode.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		source.Run(context.Background(), func(p ingest.Packet) error {
			if count++; count%keep == 0 {
				p.Data = p.Data[:len(p.Data)/2]
			}
			p.Rotation = 90
			d.Decode(p, func(f *decode.Frame) error {
				f.Release()
				return nil
			})
			return nil
		})
		d.Close() // without a flush: what is inside goes too
	}
	round := func(n int) {
		for i := range n {
			pass(good, 4+i%2)
			pass(other, 3)
			pass("no such file", 1)
		}
	}
	round(40)
	before := resident(t)
	round(160)
	if grown := resident(t) - before; grown > 8<<20 {
		t.Errorf("%d MiB more after 320 files", grown>>20)
	}
}

func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("skipped: needs /proc/self/statm, which Linux has")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
