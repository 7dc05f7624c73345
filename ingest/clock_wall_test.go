package ingest

import (
	"testing"
	"time"
)

// Our own clock is set while a camera is read, as on a machine that boots without
// one: capture times go by the new time, at once where it is later, and never
// backwards where it is earlier.
func TestTimelineWhenOurClockIsSet(t *testing.T) {
	const step = 40 * time.Millisecond
	for _, by := range []time.Duration{50 * 365 * 24 * time.Hour, time.Hour, 3 * time.Second, 0, -3 * time.Second, -time.Hour} {
		l := NewTimeline(90000)
		boot := time.Date(1970, 1, 1, 0, 0, 30, 0, time.UTC)
		var last Stamp
		for i := range 25 * 120 {
			at := boot.Add(time.Duration(i) * step)
			wall := at
			if i >= 500 {
				wall = at.Add(by)
			}
			got := l.place(uint32(i*3600), at, wall)
			if got.PTS != time.Duration(i)*step || i > 0 && !got.Captured.After(last.Captured) {
				t.Fatalf("set by %v: picture %d at %v captured %v after %v", by, i, got.PTS, got.Captured, last.Captured)
			}
			wrong := got.Captured.Sub(wall)
			if wrong.Abs() > got.Clock.Uncertainty || i < 500 && wrong != 0 || by > maxSenderOffset && wrong != 0 {
				t.Fatalf("set by %v: picture %d is %v off, said to be within %v", by, i, wrong, got.Clock.Uncertainty)
			}
			last = got
		}
		if by > -time.Minute && last.Clock.Uncertainty > 10*time.Millisecond {
			t.Errorf("set by %v: at the end off by %v", by, last.Clock.Uncertainty)
		}
	}
}
