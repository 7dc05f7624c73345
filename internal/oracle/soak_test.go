//go:build soak

package oracle

import "testing"

// TestSoakCrashOracle is TestCrashOracle with SIGHTLINE_FAULTS faults, 2,000 unless
// said otherwise: some hours.
func TestSoakCrashOracle(t *testing.T) {
	oracle(t, number(t, "SIGHTLINE_FAULTS", 2000), 200)
}
