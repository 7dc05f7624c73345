package pipelines

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		n          int
		offlineFor time.Duration
		jitter     float64
		want       time.Duration
	}{
		{1, 0, 1, 100 * time.Millisecond},
		{1, 0, 0, 50 * time.Millisecond},
		{3, 0, 1, 400 * time.Millisecond},
		{5, time.Second, 1, time.Second},
		{1000, 9 * time.Minute, 1, time.Second},
		{1000, 11 * time.Minute, 1, 30 * time.Second},
		{1000, 11 * time.Minute, 0, 15 * time.Second},
	} {
		if got := backoff(c.n, c.offlineFor, c.jitter); got != c.want {
			t.Errorf("backoff(%d, %v, %v) = %v, want %v", c.n, c.offlineFor, c.jitter, got, c.want)
		}
	}
}
