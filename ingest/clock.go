package ingest

import (
	"sync"
	"time"
)

const (
	// maxSenderOffset is how far a sender's clock may be from ours before its
	// reports stop naming the capture time: beyond it the camera's clock was
	// never set, and arrival is the better witness.
	maxSenderOffset = 10 * time.Second
	// maxClockJump is how far RTP time and arrival may part between two packets
	// before the sender is taken to have restarted its time stamps.
	maxClockJump = 10 * time.Second
	// arrivalWindow is how long an earliest arrival counts. Two windows are kept.
	arrivalWindow = 10 * time.Second
	// slewDivisor bounds how fast capture times give way to an earlier estimate:
	// 1/20 of the stream's own progress, so that time never runs backwards.
	slewDivisor = 20
)

// Timeline maps the RTP time stamps of one live epoch to presentation times and
// capture times. Presentation time starts at 0 with the first picture and is
// safe against wrapping and restarts of the 32-bit stamps. Capture time follows
// the sender's reports where they are plausible and else the earliest arrivals;
// in presentation order it never decreases. Its methods may be called from
// several goroutines.
type Timeline struct {
	mu   sync.Mutex
	rate int64 // RTP ticks a second

	started     bool
	last        uint32        // RTP stamp of the latest picture
	ticks       int64         // of the latest picture, since the first
	highest     time.Duration // highest presentation time so far
	lastArrival time.Time

	origin time.Time // capture time of presentation time 0, as applied
	early  earliest

	reported  bool // a sender report is at hand
	reportRTP uint32
	reportNTP time.Time
	offset    time.Duration // sender's clock minus ours, by the latest report
}

// Stamp is when a picture is shown and when it was captured.
type Stamp struct {
	PTS      time.Duration // negative for a picture shown before the epoch's first
	Captured time.Time
	Clock    Clock
	Jump     bool // the sender's time stamps restarted here
}

// NewTimeline starts an epoch whose RTP clock ticks rate times a second.
func NewTimeline(rate int) *Timeline {
	return &Timeline{rate: int64(max(rate, 1))}
}

// Report takes a sender report: at the wall time ntp the RTP clock showed rtp.
// arrival is when the report reached this machine.
func (l *Timeline) Report(ntp time.Time, rtp uint32, arrival time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reported, l.reportRTP, l.reportNTP = true, rtp, ntp
	l.offset = ntp.Sub(arrival)
}

// At places the picture with the RTP stamp rtp that was complete at arrival.
// Pictures are given in decoding order.
func (l *Timeline) At(rtp uint32, arrival time.Time) Stamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.started
	pts, jump := l.unwrap(rtp, arrival)
	l.early.observe(arrival.Add(-pts), arrival)

	want, source := l.early.value(), ClockArrival
	if l.reported && l.offset.Abs() <= maxSenderOffset {
		sinceReport := ticksToDuration(int64(int32(rtp-l.reportRTP)), l.rate)
		want, source = l.reportNTP.Add(sinceReport-pts), ClockRTCP
	}
	switch {
	case first || want.After(l.origin) && pts > l.highest:
		l.origin = want
	case pts > l.highest:
		l.origin = l.origin.Add(-min(l.origin.Sub(want), (pts-l.highest)/slewDivisor))
	}
	l.highest = max(l.highest, pts)

	clock := Clock{Source: source, Uncertainty: l.origin.Sub(want).Abs()}
	if l.reported {
		clock.Offset = l.offset
	}
	return Stamp{PTS: pts, Captured: l.origin.Add(pts).UTC(), Clock: clock, Jump: jump}
}

// unwrap extends rtp to 64 bits. When the stamps restarted it goes on by what
// the arrivals say and forgets the reports, which spoke of the old stamps.
func (l *Timeline) unwrap(rtp uint32, arrival time.Time) (time.Duration, bool) {
	if !l.started {
		l.started, l.last, l.lastArrival = true, rtp, arrival
		return 0, false
	}
	step, waited := int64(int32(rtp-l.last)), arrival.Sub(l.lastArrival)
	jump := (ticksToDuration(step, l.rate) - waited).Abs() > maxClockJump
	if jump {
		forward := ticksToDuration(l.ticks, l.rate) + max(waited, 0)
		step = durationToTicks(max(forward, l.highest), l.rate) + 1 - l.ticks
		l.reported = false
	}
	l.ticks += step
	l.last, l.lastArrival = rtp, arrival
	return ticksToDuration(l.ticks, l.rate), jump
}

// earliest is the minimum of what was observed in the current window and the one
// before: no queue on the way makes a packet arrive early, so the minimum is the
// nearest to the capture, and windows let it follow a drifting sender.
type earliest struct {
	since            time.Time
	current, earlier time.Time
}

func (e *earliest) observe(v, now time.Time) {
	switch {
	case e.since.IsZero():
		e.since, e.current, e.earlier = now, v, v
	case now.Sub(e.since) > arrivalWindow:
		e.since, e.current, e.earlier = now, v, e.current
	case v.Before(e.current):
		e.current = v
	}
}

func (e *earliest) value() time.Time {
	if e.earlier.Before(e.current) {
		return e.earlier
	}
	return e.current
}

// ticksToDuration divides in two steps so that days of ticks do not overflow.
func ticksToDuration(ticks, rate int64) time.Duration {
	return time.Duration(ticks/rate)*time.Second + time.Duration(ticks%rate)*time.Second/time.Duration(rate)
}

func durationToTicks(d time.Duration, rate int64) int64 {
	return int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)
}
