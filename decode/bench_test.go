package decode_test

import (
	"context"
	"log/slog"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"sightline/decode"
	"sightline/ingest"
	"sightline/ingest/file"
	"sightline/internal/testkit"
)

// BenchmarkFile reads and decodes a file with one thread, and compares the CPU
// time with that of the ffmpeg command doing the same: ffmpeg/ours above 1 is
// faster than it.
func BenchmarkFile(b *testing.B) {
	for _, c := range []struct{ name, path string }{
		{"576p", testkit.Dep(b, "media/vtest.mp4")},
		{"1080p", testkit.Clip(b, "hd.mp4", "-stream_loop", "-1", "-r", "25", "-i", testkit.Dep(b, "media/vtest.avi"), "-frames:v", "100",
			"-vf", "crop=768:432:0:110,scale=1920:1080", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-b:v", "4M")},
	} {
		b.Run(c.name, func(b *testing.B) {
			frames := 0
			var ours, theirs time.Duration
			for b.Loop() {
				theirs += command(b, c.path)
				before := cpu(b, syscall.RUSAGE_SELF)
				frames += decodeFile(b, c.path)
				ours += cpu(b, syscall.RUSAGE_SELF) - before
			}
			b.ReportMetric(float64(ours.Microseconds())/float64(frames), "µs-CPU/frame")
			b.ReportMetric(float64(theirs)/float64(ours), "ffmpeg/ours")
		})
	}
}

func decodeFile(b *testing.B, path string) (frames int) {
	source, err := file.New(file.Config{Path: path, Pace: file.Fastest}, "bench", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	d, err := decode.New(decode.Defaults())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	emit := func(f *decode.Frame) error {
		frames++
		f.Release()
		return nil
	}
	if err := source.Run(context.Background(), func(p ingest.Packet) error { return d.Decode(p, emit) }); err != nil {
		b.Fatal(err)
	}
	if err := d.Flush(emit); err != nil {
		b.Fatal(err)
	}
	return frames
}

func command(b *testing.B, path string) time.Duration {
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", path, "-vsync", "passthrough", "-f", "null", "-")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg: %v\n%s", err, text)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func cpu(b *testing.B, who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
