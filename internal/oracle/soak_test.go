//go:build soak

package oracle

import (
	"fmt"
	"testing"
)

// TestSoakCrashOracle is TestCrashOracle with SIGHTLINE_FAULTS faults, 2,000 unless
// said otherwise, which takes some two hours. Each 250 have a broker, a spool and a
// verdict of their own, so that what ends one takes nothing from the others.
func TestSoakCrashOracle(t *testing.T) {
	const round = 250
	first, n := seed(t), number(t, "SIGHTLINE_FAULTS", 2000)
	for done := 0; done < n; done += round {
		t.Run(fmt.Sprintf("From%d", done+1), func(t *testing.T) {
			oracle(t, first+uint64(done), min(round, n-done), 200)
		})
	}
}
