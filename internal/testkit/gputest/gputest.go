//go:build cuda

// Package gputest is what tests of several packages need to know of the GPU, which is
// the emulated one where kernels/emu/run.sh runs them; what looks into that one has
// Need and KeepsNothing of package emu.
package gputest

import (
	"testing"

	"sightline/internal/testkit"
	"sightline/kernels/cuda"
)

// Require skips a test where there is neither a GPU nor an emulated one.
func Require(t testing.TB) {
	t.Helper()
	found, err := cuda.Devices()
	testkit.Require(t, "gpu", err == nil && len(found) > 0, "run it with kernels/emu/run.sh, or on a machine with an NVIDIA GPU")
}
