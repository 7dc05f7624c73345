package rtsp_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/rtsp"
	"sightline/internal/testkit"
)

const (
	refusals = 10_000
	sessions = 15 // of each of four kinds
)

// resources is what a leak would take.
type resources struct {
	goroutines, files int
	heap, resident    int64
}

func inUse(t *testing.T) resources {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("skipped: needs Linux: %v", err)
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return resources{runtime.NumGoroutine(), len(files), int64(memory.HeapAlloc), pages * int64(os.Getpagesize())}
}

// A camera that is away for days costs nothing: refused connections leave no
// goroutine, descriptor or memory behind.
func TestRefusedConnectionsLeaveNothing(t *testing.T) {
	source := newSource(configFor("rtsp://" + testkit.Refused(t) + "/gate"))
	refuse := func(n int) {
		for range n {
			err := source.Run(t.Context(), func(ingest.Packet) error { return nil })
			if ingest.ReasonOf(err) != ingest.ReasonRefused {
				t.Fatal(err)
			}
		}
	}
	refuse(refusals) // until buffers and the heap have their size
	before := inUse(t)
	refuse(refusals)
	after := inUse(t)
	t.Logf("%d refusals: %+v became %+v", refusals, before, after)
	compareUse(t, before, after)
}

// Sessions that came to pictures leave nothing behind either, in client and
// camera together.
func TestSessionsLeaveNothing(t *testing.T) {
	id := identify(t, "127.0.0.1", nil)
	var configs []rtsp.Config
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		plain := configFor(serve(t, camera.Config{}).URL("gate"))
		secure := configFor(serve(t, camera.Config{Certificate: &id.Certificate}).URL("gate"))
		plain.Transport, secure.Transport, secure.TLS.CA = transport, transport, id.file
		configs = append(configs, plain, secure)
	}
	cycle := func(n int) {
		var all sync.WaitGroup
		for _, config := range configs {
			all.Go(func() {
				for range n {
					if _, err := read(t, config, 1); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	cycle(sessions)
	before := inUse(t)
	cycle(sessions)
	after := inUse(t)
	for end := time.Now().Add(5 * time.Second); after.goroutines > before.goroutines && time.Now().Before(end); after = inUse(t) {
		<-time.After(10 * time.Millisecond) // the cameras notice a moment later
	}
	t.Logf("%d sessions: %+v became %+v", sessions*len(configs), before, after)
	compareUse(t, before, after)
}

func compareUse(t *testing.T, before, after resources) {
	t.Helper()
	if after.goroutines > before.goroutines+2 || after.files > before.files+2 {
		t.Errorf("%d goroutines became %d, %d open files %d", before.goroutines, after.goroutines, before.files, after.files)
	}
	// A kilobyte and a half a connection would show.
	if after.heap > before.heap+1<<20 || after.resident > before.resident+16<<20 {
		t.Errorf("heap %d became %d, resident memory %d became %d", before.heap, after.heap, before.resident, after.resident)
	}
}
