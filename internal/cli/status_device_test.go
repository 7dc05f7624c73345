package cli

import (
	"strings"
	"testing"
	"time"

	"sightline/pipelines"
)

func TestStatusSaysHowAGPUIs(t *testing.T) {
	var out strings.Builder
	printDevice(&out, pipelines.DeviceStatus{
		Device: "cuda:0", Name: "Example", State: pipelines.DeviceLost, Error: "it fell off the bus", Since: time.Unix(0, 0).UTC(),
		Losses: 2, Total: 8 << 30, Free: 3 << 30, Streams: 4, Graphs: 12,
	})
	want := "cuda:0 (Example): lost since 1970-01-01T00:00:00Z, 4 streams, 3072 of 8192 MiB free; lost 2 times\n  12 CUDA graphs\n  it fell off the bus\n"
	if out.String() != want {
		t.Errorf("it says\n%swant\n%s", out.String(), want)
	}
}
