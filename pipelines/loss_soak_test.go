//go:build soak

package pipelines

import (
	"testing"
	"time"
)

// TestSoakLoss is TestLoss for five minutes.
func TestSoakLoss(t *testing.T) { lossTest(t, 5*time.Minute) }
