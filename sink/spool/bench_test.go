package spool

import (
	"flag"
	"runtime"
	"testing"
	"time"

	"sightline/sink"
)

var backlog = flag.Int("spool.backlog", 50_000, "records of the benchmark of a backlog")

// BenchmarkRecord is a record of some 1 KB on its whole way, written in groups of
// 500, with how many bytes wait on disk.
func BenchmarkRecord(b *testing.B) {
	for _, path := range []string{"", b.TempDir()} {
		b.Run(map[bool]string{true: "Memory", false: "Disk"}[path == ""], func(b *testing.B) {
			q, _ := open(b, Config{Path: path, Sync: time.Second})
			ev := event("a", 1, info)
			b.ReportAllocs()
			for i := range b.N {
				if err := q.Append(b.Context(), ev, sink.Route{Key: keys[i%len(keys)]}); err != nil {
					b.Fatal(err)
				}
				if i%500 != 499 && i != b.N-1 {
					continue
				}
				if err := q.Sync(); err != nil {
					b.Fatal(err)
				}
				for q.Stats().Events > 0 {
					items := next(b, q, 500)
					q.Settle(items, all(items, Done), 0)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			release(b, q)
		})
	}
}

var keys = []string{"a", "b", "c", "d", "e", "f", "g", "h"}

// BenchmarkBacklog is records read back from disk after a restart, at once with
// recovering them: one operation is the whole backlog.
func BenchmarkBacklog(b *testing.B) {
	n := *backlog
	for range b.N {
		b.StopTimer()
		cfg := Config{Path: b.TempDir(), Sync: time.Second, Max: 16 << 30}
		q, _ := open(b, cfg)
		ev := event("a", 1, info)
		for i := range n {
			if err := q.Append(b.Context(), ev, sink.Route{Key: keys[i%len(keys)]}); err != nil {
				b.Fatal(err)
			}
			if i%5000 == 4999 {
				if err := q.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		}
		release(b, q)
		before := heapBytes()
		b.StartTimer()
		start := time.Now()
		q, _ = open(b, cfg)
		opened := time.Now()
		b.StopTimer()
		used := heapBytes() - before
		b.StartTimer()
		for got := 0; got < n; {
			items := next(b, q, 500)
			q.Settle(items, all(items, Done), 0)
			if got += len(items); got%5000 == 0 {
				if err := q.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(n)/opened.Sub(start).Seconds(), "recovered/s")
		b.ReportMetric(float64(n)/time.Since(opened).Seconds(), "drained/s")
		b.ReportMetric(float64(used)/float64(n), "heapB/record")
		release(b, q)
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
