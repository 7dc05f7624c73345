//go:build cuda

// Package gputest is what tests of several packages need to know of the GPU, which is
// the emulated one where kernels/emu/run.sh runs them.
package gputest

import (
	"testing"

	"sightline/internal/testkit"
	"sightline/kernels/cuda"
	"sightline/kernels/emu"
)

// Require skips a test where there is neither a GPU nor an emulated one.
func Require(t testing.TB) {
	t.Helper()
	found, err := cuda.Devices()
	testkit.Require(t, "gpu", err == nil && len(found) > 0, "run it with kernels/emu/run.sh, or on a machine with an NVIDIA GPU")
}

// RequireEmulated skips a test that injures the device, on one that is real.
func RequireEmulated(t testing.TB) {
	t.Helper()
	Require(t)
	if !emu.Active() {
		t.Skip("a real GPU is not made to fail")
	}
}

// KeepsNothing wants the emulated driver to be left as it was.
func KeepsNothing(t testing.TB) {
	t.Helper()
	before := emu.Counts().Live()
	t.Cleanup(func() {
		if after := emu.Counts().Live(); after != before {
			t.Errorf("left on the device: %+v, before %+v", after, before)
		}
		if emu.Active() {
			if text := emu.Report(); text != "" {
				t.Errorf("kernels went wrong:\n%s", text)
			}
		}
	})
}
