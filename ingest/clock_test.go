package ingest_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"sightline/ingest"
)

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

const (
	rate = 90000
	step = 40 * time.Millisecond
)

func stampAt(i int) uint32 { return uint32(1<<32 - 20*3600 + i*3600) } // wraps after 20 pictures

func TestTimelineWraps(t *testing.T) {
	l := ingest.NewTimeline(rate)
	for i := range 60 {
		at := time.Duration(i) * step
		got := l.At(stampAt(i), epoch.Add(at))
		if got.PTS != at || !got.Captured.Equal(epoch.Add(at)) || got.Jump || got.Clock.Source != ingest.ClockArrival {
			t.Fatalf("picture %d: %+v", i, got)
		}
	}
}

func TestTimelineLeadingPictureIsNegative(t *testing.T) {
	l := ingest.NewTimeline(rate)
	l.At(stampAt(2), epoch)
	if got := l.At(stampAt(0), epoch.Add(step)); got.PTS != -2*step {
		t.Errorf("%v", got.PTS)
	}
}

// Arrivals jitter by up to 300 ms; the estimate stays below the delay and never
// decreases, and follows a sender whose clock is slow.
func TestTimelineSmoothsArrivals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l := ingest.NewTimeline(rate)
	last := time.Time{}
	for i := range 25 * 600 {
		real := time.Duration(i) * (step + step/1000) // 0.1 % slow: 600 ms after ten minutes
		jitter := time.Duration(random.Int64N(int64(300 * time.Millisecond)))
		got := l.At(stampAt(i), epoch.Add(real+jitter))
		if got.Captured.Before(last) {
			t.Fatalf("picture %d: captured %v after %v", i, got.Captured, last)
		}
		last = got.Captured
		wrong := got.Captured.Sub(epoch.Add(real))
		if i > 25*10 && (wrong < -50*time.Millisecond || wrong > 50*time.Millisecond) {
			t.Fatalf("picture %d: %v off the real capture", i, wrong)
		}
	}
}

func TestTimelineFollowsReports(t *testing.T) {
	l := ingest.NewTimeline(rate)
	const delay = 80 * time.Millisecond
	var last time.Time
	var got ingest.Stamp
	for i := range 25 * 8 {
		at := time.Duration(i) * step
		if i == 10 {
			l.Report(epoch.Add(at), stampAt(i), epoch.Add(at+delay))
		}
		got = l.At(stampAt(i), epoch.Add(at+delay))
		if got.Captured.Before(last) {
			t.Fatalf("picture %d: time runs backwards", i)
		}
		last = got.Captured
		if want := map[bool]ingest.ClockSource{true: ingest.ClockRTCP, false: ingest.ClockArrival}[i >= 10]; got.Clock.Source != want {
			t.Fatalf("picture %d: clock %v", i, got.Clock)
		}
	}
	if wrong := got.Captured.Sub(epoch.Add(got.PTS)); wrong != 0 || got.Clock.Offset != -delay || got.Clock.Uncertainty > 5*time.Millisecond {
		t.Errorf("%v off the reported capture, clock %+v", wrong, got.Clock)
	}
}

// A camera whose clock was never set says so by its offset; arrival goes on.
func TestTimelineDistrustsFarClocks(t *testing.T) {
	l := ingest.NewTimeline(rate)
	l.Report(time.Unix(3600, 0), stampAt(0), epoch)
	got := l.At(stampAt(0), epoch)
	if got.Clock.Source != ingest.ClockArrival || !got.Captured.Equal(epoch) || got.Clock.Offset > -time.Hour {
		t.Errorf("%+v", got)
	}
}

// B-frames come after pictures that are shown later.
func TestTimelineKeepsPresentationOrder(t *testing.T) {
	l := ingest.NewTimeline(rate)
	captured := map[time.Duration]time.Time{}
	for group := range 50 {
		for k, place := range []int{4, 2, 1, 3} {
			i := group*4 + place
			arrival := epoch.Add(time.Duration(group*4+k) * step)
			if group == 20 && k == 1 { // the sender's clock is 2 s behind
				l.Report(arrival.Add(-2*time.Second), stampAt(i), arrival)
			}
			got := l.At(stampAt(i), arrival)
			captured[got.PTS] = got.Captured
		}
	}
	for at := -3 * step; ; at += step {
		next, ok := captured[at+step]
		if !ok {
			break
		}
		if next.Before(captured[at]) {
			t.Fatalf("picture at %v was captured %v before the one before it", at+step, captured[at].Sub(next))
		}
	}
}

func TestTimelineSurvivesRestartedStamps(t *testing.T) {
	for _, jump := range []uint32{1 << 30, 3 << 30, 1 << 31} {
		l := ingest.NewTimeline(rate)
		for i := range 10 {
			l.At(stampAt(i), epoch.Add(time.Duration(i)*step))
		}
		got := l.At(stampAt(10)+jump, epoch.Add(10*step))
		if !got.Jump || (got.PTS-10*step).Abs() > time.Millisecond {
			t.Errorf("jump of %d: %+v", jump, got)
		}
		if got := l.At(stampAt(11)+jump, epoch.Add(11*step)); got.Jump || (got.PTS-11*step).Abs() > time.Millisecond {
			t.Errorf("after a jump of %d: %+v", jump, got)
		}
	}
}
