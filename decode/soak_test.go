//go:build soak

package decode_test

import "testing"

// TestSoakMutations is TestMutations at length.
func TestSoakMutations(t *testing.T) { mutations(t, 10000, 2) }
