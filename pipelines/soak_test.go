//go:build soak

package pipelines

import (
	"os"
	"testing"
	"time"
)

// TestSoakSteady is TestSteady for as long as SIGHTLINE_SOAK says, ten minutes
// otherwise. Memory may grow by 8 MiB in all, however long it takes: native
// allocators spread over their arenas for minutes, a leak goes on.
func TestSoakSteady(t *testing.T) {
	length := 10 * time.Minute
	if text := os.Getenv("SIGHTLINE_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	seconds := length.Seconds()
	steady(t, min(length, 5*time.Minute), length, length/500, growth{memory: 8 << 20 / seconds, goroutines: 5 / seconds, frames: 5 / seconds, descriptors: 5 / seconds})
}
