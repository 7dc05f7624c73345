package emu

import (
	"testing"

	"sightline/internal/testkit"
)

// Need leaves a test out where the driver is a real one: it disturbs the driver, or
// looks into it, as can be done with the emulated one alone.
func Need(t testing.TB) {
	t.Helper()
	testkit.Require(t, "emulated-gpu", Active(), "a real GPU cannot be disturbed nor looked into: kernels/emu/run.sh go test …")
}

// KeepsNothing wants the emulated driver, at the end of a test, to be left as it is now:
// all that was made since is gone, and no kernel went wrong. To be called before whatever
// cleans up; on a real driver it sees nothing.
func KeepsNothing(t testing.TB) {
	t.Helper()
	if !Active() {
		return
	}
	Report() // of others
	before := Counts().Live()
	t.Cleanup(func() {
		if after := Counts().Live(); after != before {
			t.Errorf("left on the device: %+v, before %+v", after, before)
		}
		if text := Report(); text != "" {
			t.Errorf("kernels went wrong:\n%s", text)
		}
	})
}
