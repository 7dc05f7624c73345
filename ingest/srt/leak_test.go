package srt

import (
	"os"
	"runtime"
	"testing"
	"time"

	"sightline/ingest"
)

// inUse counts what a connection takes of the system.
func inUse(t *testing.T) (files, threads, goroutines int) {
	t.Helper()
	f, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("skipped: needs Linux: %v", err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(f), len(tasks), runtime.NumGoroutine()
}

// TestRefusedConnectionsLeaveNothing: libsrt has threads of its own for each
// socket, which it ends a few seconds after it was closed.
func TestRefusedConnectionsLeaveNothing(t *testing.T) {
	s := source(sender(t, "--passphrase="+passphrase))
	refuse := func(n int) {
		for range n {
			if err := s.Run(t.Context(), func(ingest.Packet) error { return nil }); ingest.ReasonOf(err) != ingest.ReasonRefused {
				t.Fatal(err)
			}
		}
	}
	refuse(20)
	files, threads, goroutines := inUse(t)
	refuse(200)
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(100 * time.Millisecond) {
		f, th, g := inUse(t)
		if f <= files+2 && th <= threads+4 && g <= goroutines+2 {
			t.Logf("%d files, %d threads, %d goroutines became %d, %d, %d", files, threads, goroutines, f, th, g)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d files, %d threads, %d goroutines became %d, %d, %d", files, threads, goroutines, f, th, g)
		}
	}
}
