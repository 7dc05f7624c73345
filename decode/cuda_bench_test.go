//go:build cuda

package decode_test

import (
	"fmt"
	"testing"

	"sightline/decode"
	"sightline/internal/testkit"
	"sightline/kernels/cuda"
)

// BenchmarkCUDADecode decodes the sample clips, which leave the device unread, with
// one decoder and with several side by side. The emulation does not decode: figures
// mean something on a real GPU alone (`make gpu-check`).
func BenchmarkCUDADecode(b *testing.B) {
	gpu, err := cuda.Open(cuda.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer gpu.Close()
	for _, name := range []string{"c1080p25", "c720p15", "c576p10"} {
		list := packets(b, testkit.Dep(b, "media/clips/"+name+".mp4"))
		for _, decoders := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, decoders), func(b *testing.B) {
				frames := 0
				for b.Loop() {
					counts := make(chan int)
					for range decoders {
						go func() {
							n := 0
							defer func() { counts <- n }()
							d, err := decode.New(decode.Config{Threads: 1, Live: true, HWAccel: "cuda", GPU: gpu})
							if err != nil {
								b.Error(err)
								return
							}
							defer d.Close()
							count := func(f *decode.Frame) error { n++; f.Release(); return nil }
							for _, p := range list {
								if err := d.Decode(p, count); err != nil {
									b.Error(err)
								}
							}
							if info := d.(decode.Informer).Info(); info.HWAccel != "cuda" {
								b.Errorf("decoded elsewhere: %s", info)
							}
						}()
					}
					for range decoders {
						frames += <-counts
					}
				}
				b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
			})
		}
	}
}
