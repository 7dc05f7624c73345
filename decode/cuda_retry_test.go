//go:build cuda

package decode_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/internal/testkit"
	"sightline/kernels/emu"
)

// TestCUDARetry has the device refuse a decoder for want of room, several times, and
// take it at last: it is tried at keyframes only, ever more rarely, and no picture is
// missing for it nor out of order.
func TestCUDARetry(t *testing.T) {
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 60), "-c:v", "libx264", "-bf", "2", "-g", "10", "-sc_threshold", "0")...))
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var order, onDevice []uint64
		g.look = func(f, _ *decode.Frame) {
			order = append(order, f.Index)
			if f.Memory == decode.CUDA {
				onDevice = append(onDevice, f.Index)
			}
			if f.Damaged {
				t.Errorf("picture %d is damaged", f.Index)
			}
		}
		emu.Fail(emu.Decoder, -1)
		defer emu.Fail(emu.Decoder, 0)
		retries := map[int]uint64{9: 0, 14: 0, 20: 1, 30: 1, 40: 2, 50: 3} // by packet
		for i, p := range list {
			switch i {
			case 10:
				time.Sleep(4 * time.Second)
			case 15:
				time.Sleep(2 * time.Second)
			case 35:
				time.Sleep(10 * time.Second)
			case 45:
				time.Sleep(20 * time.Second)
				emu.Fail(emu.Decoder, 0)
			}
			if err := g.d.Decode(p, g.emit); err != nil {
				t.Fatalf("packet %d: %v", i, err)
			}
			info := g.info()
			if want, asked := retries[i]; asked && info.Retries != want {
				t.Errorf("packet %d: tried again %d times, want %d", i, info.Retries, want)
			}
			if i == 30 && (info.HWAccel != "" || !strings.Contains(info.Note, "no room")) {
				t.Errorf("%+v", info)
			}
		}
		if err := g.d.Flush(g.emit); err != nil {
			t.Fatal(err)
		}
		for i, index := range order {
			if int(index) != i+1 {
				t.Fatalf("pictures %v", order)
			}
		}
		if len(order) != len(list) || len(onDevice) != 10 || onDevice[0] != 51 {
			t.Errorf("%d pictures, on the device %v", len(order), onDevice)
		}
		if info := g.info(); info.HWAccel != "cuda" || info.Note != "" {
			t.Errorf("%+v", info)
		}
		if warned := strings.Count(log.String(), "level=WARN"); warned != 1 {
			t.Errorf("%d warnings:\n%s", warned, &log)
		}
	})
}

// TestCUDARefusedForGood: what a device does not take it is not asked for again.
func TestCUDARefusedForGood(t *testing.T) {
	list := packets(t, testkit.Clip(t, "odd.mp4", append(testsrc(160, 120, 30), "-vf", "format=yuv444p", "-c:v", "libx264", "-g", "10")...))
	synctest.Test(t, func(t *testing.T) {
		g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true})
		for _, p := range list {
			if err := g.d.Decode(p, g.emit); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if info := g.info(); info.HWAccel != "" || info.Retries != 0 || !strings.Contains(info.Note, "does not take this h264") {
			t.Errorf("%+v", info)
		}
	})
}

// TestCUDARetryFailsLate has a device take a stream and fail when its first picture is
// decoded or is to be shown, which with reordering is packets later, or when the stream is
// at its end: software shows every picture, and does at each further try.
func TestCUDARetryFailsLate(t *testing.T) {
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 60), "-c:v", "libx264", "-bf", "2", "-g", "10", "-sc_threshold", "0")...))
	want := play(t, decode.Config{Threads: 1}, list)
	for _, kind := range []string{emu.Map, emu.Picture} {
		for _, count := range []int{1, len(list)} {
			t.Run(fmt.Sprintf("%s of %d", kind, count), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newOnGPU(t, decode.Config{GPU: openGPU(t), Live: true})
					emu.Fail(kind, -1)
					defer emu.Fail(kind, 0)
					n := 0
					g.look = func(f, _ *decode.Frame) {
						if int(f.Index) != n+1 || f.Damaged || !bytes.Equal(decodetest.Luma(f), want[n].luma) {
							t.Errorf("picture %d is %d (damaged: %v), or looks different", n+1, f.Index, f.Damaged)
						}
						n++
					}
					for i, p := range list[:count] {
						if err := g.d.Decode(p, g.emit); err != nil {
							t.Errorf("packet %d: %v", i, err)
						}
						time.Sleep(time.Second)
					}
					if err := g.d.Flush(g.emit); err != nil {
						t.Error(err)
					}
					info := g.info()
					if n != count || info.HWAccel != "" || !strings.HasPrefix(info.Note, "cuda: ") || count > 1 && info.Retries < 2 {
						t.Errorf("%d of %d pictures, %+v, tried again %d times", n, count, info, info.Retries)
					}
				})
			})
		}
	}
}

// TestCUDADecodeBesideRecording opens, uses and closes decoders while another thread
// records a CUDA graph.
func TestCUDADecodeBesideRecording(t *testing.T) {
	list := packets(t, testkit.Clip(t, "clip.mp4", append(testsrc(160, 120, 12), "-c:v", "libx264", "-g", "6")...))
	gpu := openGPU(t)
	stream, err := gpu.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	begun, over, spoiled := make(chan error), make(chan struct{}), make(chan error)
	go gpu.Do(func() error {
		end, err := emu.Record(stream.Handle())
		begun <- err
		if err == nil {
			<-over
			spoiled <- end()
		}
		return nil
	})
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // one in the default mode, as any that FFmpeg is called on
	defer runtime.UnlockOSThread()
	g := newOnGPU(t, decode.Config{GPU: gpu, Live: true})
	n := 0
	g.look = func(f, _ *decode.Frame) {
		if n++; f.Memory != decode.CUDA {
			t.Errorf("picture %d was decoded in software: %s", n, g.info())
		}
	}
	g.play(list)
	g.d.Close()
	close(over)
	if err := <-spoiled; err != nil || n != len(list) {
		t.Errorf("%d pictures, %v", n, err)
	}
}
