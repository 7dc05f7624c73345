package testkit

import (
	"testing"
	"time"
)

// Eventually polls until ok, and fails the test when that takes longer than limit. It
// is for what tells nobody that it has happened; where something does, wait for that.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}
