package ingest

import (
	"sync"
	"time"
)

const (
	// maxSenderOffset is how far a sender's clock may be from ours before it stops
	// naming the capture time: beyond it the camera's clock was never set, and
	// arrival is the better witness.
	maxSenderOffset = 10 * time.Second
	// maxClockJump is how far RTP time and arrival may part between two packets
	// before the sender is taken to have restarted its time stamps.
	maxClockJump = 10 * time.Second
	// slewBack and slewForward bound how fast capture times give way to another
	// estimate: by 1/20 of the stream's own progress where they are late, so that
	// time never runs backwards, and by 1/4 where they are early. More than
	// maxSenderOffset off they step forward at once, or nearly stand still.
	slewBack    = 20
	slewForward = 4
	// leastUncertainty is what senders' own stamping is good for.
	leastUncertainty = time.Millisecond
)

// Timeline maps the RTP time stamps of one live epoch to presentation times and
// capture times. Presentation time starts at 0 with the first picture and is
// safe against wrapping and restarts of the 32-bit stamps. Capture time follows
// the stamps on the pictures where they are plausible, else the sender's reports
// where they are, and else the earliest arrivals; in presentation order it never
// decreases. Its methods may be called from several goroutines.
type Timeline struct {
	mu   sync.Mutex
	rate int64 // RTP ticks a second

	started     bool
	last        uint32        // RTP stamp of the latest picture
	ticks       int64         // of the latest picture, since the first
	highest     time.Duration // highest presentation time so far
	lastArrival time.Time

	base     time.Time     // first arrival, with the monotonic reading it may have
	wall     time.Time     // the same without
	shift    time.Duration // by how much our wall clock was set forward since
	arrivals envelope      // of arrival since base, over presentation time
	stamps   witness
	reports  witness
	shown    course
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
	return &Timeline{
		rate:    int64(max(rate, 1)),
		stamps:  witness{life: stampLife, keep: 1},
		reports: witness{life: reportLife, keep: 3},
	}
}

// Report takes a sender report: at the wall time ntp the RTP clock showed rtp.
// arrival is when the report reached this machine. A report that cannot be true
// costs the reports their trust, and is otherwise ignored.
func (l *Timeline) Report(ntp time.Time, rtp uint32, arrival time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.witnessed(&l.reports, ClockRTCP, ntp, rtp, arrival)
}

// Stamped takes what a packet's header says: the picture with the RTP stamp rtp
// was captured at the wall time captured. source says in which way it said so.
// Pictures without a stamp are placed between by their RTP time. What cannot be
// true is ignored, as in Report.
func (l *Timeline) Stamped(source ClockSource, captured time.Time, rtp uint32, arrival time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.witnessed(&l.stamps, source, captured, rtp, arrival)
}

func (l *Timeline) witnessed(w *witness, source ClockSource, ntp time.Time, rtp uint32, arrival time.Time) {
	w.source = source
	if !l.started { // judged when the first picture is there
		w.early = &testimony{ntp: ntp, rtp: rtp, arrival: arrival}
		return
	}
	t := testimony{ntp: ntp, rtp: rtp, arrival: arrival}
	t.pts = ticksToDuration(l.ticks+int64(int32(rtp-l.last)), l.rate)
	// How long the latest picture took to get here, by the sender's own clock.
	t.latency = t.pts - ticksToDuration(l.ticks, l.rate) - arrival.Sub(l.lastArrival)
	w.take(t)
}

// At places the picture with the RTP stamp rtp that was complete at arrival.
// Pictures are given in decoding order.
func (l *Timeline) At(rtp uint32, arrival time.Time) Stamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.place(rtp, arrival, arrival.Round(0))
}

// place takes the arrival by the monotonic clock and by the wall's, which may be
// set while the epoch lasts.
func (l *Timeline) place(rtp uint32, arrival, wall time.Time) Stamp {
	if !l.started {
		l.base, l.wall = arrival, wall
	}
	pts, jump := l.unwrap(rtp, arrival)
	l.arrivals.observe(point{pts, arrival.Sub(l.base) - pts})
	l.shift = wall.Sub(l.wall) - arrival.Sub(l.base)
	for _, w := range []*witness{&l.stamps, &l.reports} {
		if t := w.early; t != nil {
			w.early = nil
			l.witnessed(w, w.source, t.ntp, t.rtp, t.arrival)
		}
	}
	estimate, clock := l.estimate(arrival)
	captured, residue := l.shown.place(pts, estimate)
	l.highest = max(l.highest, pts)
	clock.Uncertainty += residue.Abs()
	return Stamp{PTS: pts, Captured: captured.UTC(), Clock: clock, Jump: jump}
}

// estimate chooses the best witness there is now: a function from presentation
// to capture time, and its quality.
func (l *Timeline) estimate(now time.Time) (at func(pts time.Duration) time.Time, clock Clock) {
	clock = Clock{Source: ClockArrival, Uncertainty: leastUncertainty, Drift: l.arrivals.drift()}
	// A stamp on a picture is late by its way here, a report hardly.
	teller := &l.reports
	if !teller.known || !teller.usable(now) && l.stamps.usable(now) {
		teller = &l.stamps
	}
	if teller.known {
		clock.Offset, clock.WallDrift = teller.offset, teller.wall.drift()
	}
	for _, w := range []*witness{&l.reports, &l.stamps} { // the better one last
		if w.usable(now) {
			origin, doubt := w.origin(now)
			clock.Source, clock.Uncertainty = w.source, doubt+leastUncertainty
			at = func(pts time.Duration) time.Time { return origin.Add(pts) }
		}
	}
	if at == nil {
		clock.Uncertainty += l.arrivals.spread()
		start := l.wall.Add(l.shift)
		at = func(pts time.Duration) time.Time { return start.Add(pts + l.arrivals.value(pts)) }
	}
	return at, clock
}

// unwrap extends rtp to 64 bits. When the stamps restarted it goes on by what
// the arrivals say and forgets the witnesses, who spoke of the old stamps. A
// stall is no restart: the stamps go on as if nothing had happened.
func (l *Timeline) unwrap(rtp uint32, arrival time.Time) (time.Duration, bool) {
	if !l.started {
		l.started, l.last, l.lastArrival = true, rtp, arrival
		return 0, false
	}
	step, waited := int64(int32(rtp-l.last)), arrival.Sub(l.lastArrival)
	length := ticksToDuration(step, l.rate)
	jump := (length-waited).Abs() > maxClockJump && (length <= 0 || length > maxClockJump)
	if jump {
		forward := ticksToDuration(l.ticks, l.rate) + max(waited, 0)
		step = durationToTicks(max(forward, l.highest), l.rate) + 1 - l.ticks
		l.reports.forget()
		l.stamps.forget()
		l.arrivals = envelope{}
	}
	l.ticks += step
	l.last, l.lastArrival = rtp, arrival
	return ticksToDuration(l.ticks, l.rate), jump
}

// ticksToDuration divides in two steps so that days of ticks do not overflow.
func ticksToDuration(ticks, rate int64) time.Duration {
	return time.Duration(ticks/rate)*time.Second + time.Duration(ticks%rate)*time.Second/time.Duration(rate)
}

func durationToTicks(d time.Duration, rate int64) int64 {
	return int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)
}
