//go:build soak

package pipelines

import (
	"os"
	"testing"
	"time"
)

// TestSoakSteady is TestSteady for as long as SIGHTLINE_SOAK says, ten minutes
// otherwise. 16 MiB an hour is what fragmentation was seen to cost at most.
func TestSoakSteady(t *testing.T) {
	length := 10 * time.Minute
	if text := os.Getenv("SIGHTLINE_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	const hour = 3600
	steady(t, length/5, length, length/500, growth{memory: 16 << 20 / hour, goroutines: 10. / hour, frames: 10. / hour, descriptors: 10. / hour})
}
