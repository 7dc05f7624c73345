package http_test

import (
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"sightline/ingest"
)

// used is what a leak would take: goroutines, open files, heap.
func used(t *testing.T) [3]int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("skipped: needs Linux: %v", err)
	}
	runtime.GC()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return [3]int{runtime.NumGoroutine(), len(files), int(memory.HeapAlloc)}
}

// TestNothingIsLeft connects over and over to a camera that is away, and to ones
// that are there, and leaves nothing behind.
func TestNothingIsLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	jpg := picture(t, 32)
	there := camera(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/still" {
			w.Write(jpg)
			return
		}
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		fmt.Fprintf(w, "--b\r\n\r\n%s\r\n", jpg)
		hang(w, r)
	})
	round := func(n int) {
		for i := range n {
			if _, err := read(t, configFor("http://"+l.Addr().String()), 1); ingest.ReasonOf(err) != ingest.ReasonRefused {
				t.Fatal(err)
			}
			config := configFor(there + []string{"/still", "/motion"}[i%2])
			config.TLS = ingest.TLS{Insecure: true}
			if _, err := read(t, config, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(500)
	before := used(t)
	round(1000)
	var after [3]int
	for range 100 { // connections close beside who is done with them
		after = used(t)
		if after[0] <= before[0]+3 && after[1] <= before[1]+3 {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Logf("goroutines, files, heap: %v became %v", before, after)
	if after[0] > before[0]+3 || after[1] > before[1]+3 || after[2] > before[2]+1<<20 {
		t.Errorf("goroutines, files, heap: %v became %v", before, after)
	}
}
