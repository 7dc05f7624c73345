package camera

import (
	"testing"
	"testing/synctest"
	"time"

	"sightline/ingest"
)

// After a pause a source hurries to catch up. Its pictures must not be said to be
// taken later than they are shown.
func TestCaptureClockNeverRunsAhead(t *testing.T) {
	const step = 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		f := newFeed("north", nil, nil, nil)
		for i, wait := range []time.Duration{0, step, step + 20*time.Millisecond, 15 * time.Second, 0, 0, 0, 0, 0, step, step - time.Millisecond, step} {
			time.Sleep(wait)
			before := f.anchor
			at := f.place(ingest.Packet{Epoch: "1", PTS: time.Duration(i) * step})
			if late := time.Since(f.anchor.Add(at)); late < 0 || late > maxLate {
				t.Errorf("picture %d is shown %v after it was taken", i, late)
			}
			if told := f.reportDue.Swap(false); told == f.anchor.Equal(before) {
				t.Errorf("picture %d: clock went from %v to %v, a report is due: %v", i, before, f.anchor, told)
			}
		}
	})
}
