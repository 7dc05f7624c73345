package decode_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

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
		{"vtest", testkit.Dep(b, "media/vtest.mp4")},
		{"1080p25", testkit.Dep(b, "media/clips/c1080p25.mp4")},
		{"720p15", testkit.Dep(b, "media/clips/c720p15.mp4")},
		{"576p10", testkit.Dep(b, "media/clips/c576p10.mp4")},
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

// BenchmarkSkip decodes a minute of 1080p25 as its structure allows at five
// inferences a second: pictures nothing refers to only where one falls due, groups
// of pictures only up to the last that is due, and the loop filter left out where
// it only tells on such pictures, or on all. cpu/full is the share of decoding all.
func BenchmarkSkip(b *testing.B) {
	source := []string{"-stream_loop", "-1", "-r", "25", "-i", testkit.Dep(b, "media/vtest.avi"), "-frames:v", "250",
		"-vf", "crop=768:432:0:110,scale=1920:1080", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M", "-x264-params"}
	for _, c := range []struct{ name, params string }{
		{"b-frames", "bframes=2:b-adapt=0:b-pyramid=none:keyint=50:scenecut=0"},
		{"b-pyramid", "bframes=3:b-adapt=0:b-pyramid=normal:keyint=50:scenecut=0"},
		{"short", "bframes=0:keyint=5:scenecut=0"},
		{"ippp", "bframes=0:keyint=50:scenecut=0"},
	} {
		list := packets(b, testkit.Clip(b, c.name+".mp4", append(append([]string(nil), source...), c.params)...))
		for _, m := range []struct {
			name   string
			skip   func([]ingest.Packet) []bool
			filter decode.FilterSkip
		}{
			{"full", func(list []ingest.Packet) []bool { return make([]bool, len(list)) }, decode.FilterSkipNone},
			{"auto", notDue, decode.FilterSkipNone},
			{"auto-nonref-filter", notDue, decode.FilterSkipNonref},
			{"auto-no-filter", notDue, decode.FilterSkipAll},
		} {
			b.Run(c.name+"/"+m.name, func(b *testing.B) {
				skip := m.skip(list)
				var took time.Duration
				decoded := 0
				for b.Loop() {
					before := cpu(b, syscall.RUSAGE_SELF)
					decoded += decodeSome(b, list, skip, m.filter)
					took += cpu(b, syscall.RUSAGE_SELF) - before
				}
				b.ReportMetric(float64(took.Microseconds())/float64(b.N)/float64(len(list)), "µs-CPU/packet")
				b.ReportMetric(float64(decoded)/float64(b.N)/float64(len(list)), "decoded/packet")
			})
		}
	}
}

// notDue picks the packets that nothing due at five a second needs: of those due
// everything they may refer to is kept.
func notDue(list []ingest.Packet) []bool {
	skip := make([]bool, len(list))
	needed := false
	for i := len(list) - 1; i >= 0; i-- {
		p := list[i]
		due := int(p.PTS.Seconds()*5+0.01) != int((p.PTS-40*time.Millisecond).Seconds()*5+0.01)
		skip[i] = !due && (p.Disposable || !needed)
		needed = (needed || due) && !p.Keyframe
	}
	return skip
}

func decodeSome(b *testing.B, list []ingest.Packet, skip []bool, filter decode.FilterSkip) (decoded int) {
	d, err := decode.New(decode.Config{Threads: 1, Live: true})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	d.(decode.Tuner).SetFilterSkip(filter)
	emit := func(f *decode.Frame) error { f.Release(); return nil }
	for i, p := range list {
		if skip[i] {
			d.Skip(p)
			continue
		}
		if err := d.Decode(p, emit); err != nil {
			b.Fatal(err)
		}
		decoded++
	}
	return decoded
}

// BenchmarkFilterDrift is no benchmark of speed: it tells how far pictures are from
// those decoded with the loop filter, in dB of luma (mean, and of the worst picture).
func BenchmarkFilterDrift(b *testing.B) {
	for _, name := range []string{"c1080p25", "c720p15", "c576p10"} {
		list := packets(b, testkit.Dep(b, "media/clips/"+name+".mp4"))
		list = list[:min(len(list), 150)]
		for _, filter := range []decode.FilterSkip{decode.FilterSkipNonref, decode.FilterSkipAll} {
			b.Run(fmt.Sprint(name, "/", filter), func(b *testing.B) {
				for b.Loop() {
					mean, worst := drift(b, list, filter)
					b.ReportMetric(mean, "dB")
					b.ReportMetric(worst, "dB-worst")
				}
			})
		}
	}
}

func drift(b *testing.B, list []ingest.Packet, filter decode.FilterSkip) (mean, worst float64) {
	var decoders [2]decode.Decoder
	for i := range decoders {
		d, err := decode.New(decode.Defaults())
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		decoders[i] = d
	}
	decoders[1].(decode.Tuner).SetFilterSkip(filter)
	var waiting [2][]*decode.Frame
	sum, count := 0.0, 0
	worst = math.Inf(1)
	compare := func() {
		for len(waiting[0]) > 0 && len(waiting[1]) > 0 {
			x, y := waiting[0][0], waiting[1][0]
			waiting[0], waiting[1] = waiting[0][1:], waiting[1][1:]
			db := psnr(x, y)
			sum, count, worst = sum+db, count+1, min(worst, db)
			x.Release()
			y.Release()
		}
	}
	for _, p := range list {
		for i, d := range decoders {
			if err := d.Decode(p, func(f *decode.Frame) error { waiting[i] = append(waiting[i], f); return nil }); err != nil {
				b.Fatal(err)
			}
		}
		compare()
	}
	for i, d := range decoders {
		d.Flush(func(f *decode.Frame) error { waiting[i] = append(waiting[i], f); return nil })
	}
	compare()
	return sum / float64(count), worst
}

// psnr compares luma; equal pictures count as 100 dB.
func psnr(x, y *decode.Frame) float64 {
	sum := 0
	for row := range x.Height {
		a := unsafe.Slice((*byte)(unsafe.Add(x.Planes[0].Data, row*x.Planes[0].Stride)), x.Width)
		b := unsafe.Slice((*byte)(unsafe.Add(y.Planes[0].Data, row*y.Planes[0].Stride)), x.Width)
		for i := range a {
			d := int(a[i]) - int(b[i])
			sum += d * d
		}
	}
	if sum == 0 {
		return 100
	}
	return min(100, 10*math.Log10(255*255*float64(x.Width*x.Height)/float64(sum)))
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
