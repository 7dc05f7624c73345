//go:build soak

package pipelines

import "testing"

// TestSoakStreamsComeAndGo adds and removes a thousand streams.
func TestSoakStreamsComeAndGo(t *testing.T) { comeAndGo(t, 1000, 16<<10) }
