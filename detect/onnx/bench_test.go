package onnx

import (
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSession is two workers that write, run and read batches of n
// pictures of 768×576; cpu-ms is the whole process's processor time a picture.
func BenchmarkSession(b *testing.B) {
	pictures := frames(b)
	for _, engine := range engines() {
		s := open(b, config(b, "coco-nano", engine))
		for _, rows := range []int{1, 2, 4} {
			b.Run(engine+"/rows="+string(rune('0'+rows)), func(b *testing.B) {
				start := processorTime(b)
				var wg sync.WaitGroup
				for range 2 {
					w := newWriter(b, s, WriterConfig{Threshold: 0.1})
					wg.Go(func() {
						for range b.N {
							look(b, s, w, pictures[:rows]...)
						}
					})
				}
				wg.Wait()
				n := float64(2 * b.N * rows)
				b.ReportMetric(float64((processorTime(b)-start).Microseconds())/1e3/n, "cpu-ms/picture")
				b.ReportMetric(n/b.Elapsed().Seconds(), "pictures/s")
			})
		}
	}
}

func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
