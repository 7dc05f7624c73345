//go:build soak

package optimize

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"
)

// The whole of scene mode on a real network and as few pictures as teach something,
// of which every other one is held back: much of the arithmetic is gone, it agrees as
// it was asked to, and a second run gives the same bytes. It takes some minutes.
func TestSceneSoak(t *testing.T) {
	frames := sceneFrames(t, 15, 24)
	var sums []string
	for range 2 {
		c := sceneConfig(t)
		c.Agreement = 0.8
		last, began, start := "", time.Now(), time.Now()
		c.Progress = func(step string, _, _ int) {
			if step != last {
				t.Logf("%.1f s %s", time.Since(began).Seconds(), last)
				last, began = step, time.Now()
			}
		}
		r, err := Run(t.Context(), c, frames, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e := r.Engines[0]
		t.Logf("%v: %d of %d multiply-adds, agreement %.4f/%.4f of %d boxes, %.2f times as fast; tried %v", time.Since(start), r.After.MACs, r.Before.MACs,
			e.Agreement.Recall, e.Agreement.Precision, e.Agreement.Boxes, e.Race.Speedup, r.Tried)
		if r.After.MACs*10 > r.Before.MACs*6 || min(e.Agreement.Recall, e.Agreement.Precision) < c.Agreement || e.Agreement.Boxes < 60 {
			t.Errorf("%+v", e)
		}
		data, err := os.ReadFile(c.Out)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(data)))
	}
	if sums[0] != sums[1] {
		t.Errorf("two runs gave %v", sums)
	}
}
