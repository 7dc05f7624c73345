//go:build cuda

package cli

import (
	"strings"
	"testing"

	"sightline/kernels/emu"
)

// TestCUDAWarmup compiles for the device that a run would take: the CPU, where nothing
// computes on the GPU and nobody asked for it.
func TestCUDAWarmup(t *testing.T) {
	emu.Need(t)
	file := yard(t)
	for device, want := range map[string]string{"auto": "on cpu: openvino", "cuda:0": "on cuda:0: onnxruntime"} {
		got := sightline("warmup", file, "--picture", "640x480", "-s", "detect.device="+device)
		if got.code != exitDone || !strings.Contains(got.out, want) {
			t.Errorf("%s: exit %d, want %q: %s%s", device, got.code, want, got.out, got.errOut)
		}
	}
}
