package ingest

import (
	"slices"
	"time"
)

const (
	// reportLife is how long a sender report is followed without another one, and
	// stampLife how long a picture's stamp, which libwebrtc's receivers, too,
	// interpolate from for no longer.
	reportLife = time.Minute
	stampLife  = 5 * time.Second
	// maxSlack is by how much two reports may differ about the time between them
	// and still agree: some senders give the RTP time of the latest picture for
	// that of the report. 1/slackShare of that time is added.
	maxSlack   = 200 * time.Millisecond
	slackShare = 1000
	// minLatency and maxLatency bound how long ago a picture may have been captured
	// when it comes, by the sender's own clock. Below 0 is a report with the RTP
	// time of the latest picture of a slow stream.
	minLatency = -2 * time.Second
	maxLatency = 5 * time.Second
	// maxStrikes is how many reports in a row may be nonsense before the last good
	// one is no longer followed, and regain how many in a row must then agree
	// with the one before them.
	maxStrikes = 2
	regain     = 2
	// maxSkew is how fast a sender's two clocks are taken to part at most, in ppm,
	// while no report ties them together.
	maxSkew = 500
)

// testimony is what a sender says: at the wall time ntp its RTP clock showed rtp.
type testimony struct {
	ntp     time.Time
	rtp     uint32
	arrival time.Time
	pts     time.Duration // the same as rtp, on the timeline
	latency time.Duration // of the latest picture, if it is true
}

// origin is the wall time of presentation time 0.
func (t testimony) origin() time.Time { return t.ntp.Add(-t.pts) }

// agrees tells whether as much time went by on the sender's wall clock as on its
// RTP clock.
func (t testimony) agrees(later testimony) bool {
	went := later.pts - t.pts
	return (later.ntp.Sub(t.ntp) - went).Abs() <= maxSlack+went.Abs()/slackShare
}

// witness judges what a sender says about its clock in one way. It is trusted
// from its first plausible word, loses trust by contradicting itself or by
// claiming another time of day than ours, and regains it by constancy.
type witness struct {
	source ClockSource
	life   time.Duration // of a testimony
	keep   int           // how many count, by their median
	early  *testimony    // came before the first picture

	heard   bool
	last    testimony // whatever it said
	run     int       // how often in a row it agreed with what it said before
	strikes int       // how often in a row it did not, or said the impossible

	trusted bool
	good    testimony   // the latest that is followed
	origins []time.Time // of the latest good ones

	known  bool          // offset is: it does not change with every word
	offset time.Duration // sender's clock minus ours, by its latest word
	wall   envelope      // of arrival, over the sender's wall clock
	first  testimony     // since which wall observes
}

// take judges t. The same once more is no news: it does not prolong its life.
func (w *witness) take(t testimony) {
	if w.heard && t.ntp.Equal(w.last.ntp) && t.pts == w.last.pts {
		return
	}
	first := !w.heard
	steady := w.heard && w.last.agrees(t)
	keeps := w.trusted && w.good.agrees(t)
	w.heard, w.last, w.known = true, t, first || steady || keeps
	w.offset = t.ntp.Sub(t.arrival.Round(0))
	w.watch(t, steady)
	if steady {
		w.run++
	} else {
		w.run = 0
	}
	possible := w.offset.Abs() <= maxSenderOffset && t.latency >= minLatency && t.latency <= maxLatency
	switch {
	case possible && (first || keeps || steady && (w.trusted || w.run >= regain)):
		w.follow(t, keeps)
	case !possible && steady && !keeps:
		w.trusted = false
	default:
		if w.strikes++; w.strikes >= maxStrikes {
			w.trusted = false
		}
	}
}

// follow makes t the best word so far: one more of the same line, or a new line.
func (w *witness) follow(t testimony, keeps bool) {
	if !keeps {
		w.origins = w.origins[:0] // not lost: words about time, of which the line does not hold on
	} else if len(w.origins) == w.keep {
		w.origins = append(w.origins[:0], w.origins[1:]...)
	}
	w.trusted, w.strikes, w.good = true, 0, t
	w.origins = append(w.origins, t.origin())
}

// watch measures the sender's wall clock, anew after each step of it.
func (w *witness) watch(t testimony, steady bool) {
	if !steady {
		w.wall, w.first = envelope{}, t
	}
	gone := t.ntp.Sub(w.first.ntp)
	w.wall.observe(point{gone, t.arrival.Sub(w.first.arrival) - gone})
}

// forget starts anew: what was said is about other time stamps.
func (w *witness) forget() {
	*w = witness{source: w.source, life: w.life, keep: w.keep, known: w.known, offset: w.offset}
}

// usable tells whether the witness has a word that holds at now.
func (w *witness) usable(now time.Time) bool {
	return w.trusted && now.Sub(w.good.arrival) <= w.life
}

// origin is the wall time of presentation time 0 by the latest good words, and
// how far from it the truth may be.
func (w *witness) origin(now time.Time) (at time.Time, doubt time.Duration) {
	sorted := slices.SortedFunc(slices.Values(w.origins), time.Time.Compare)
	at = sorted[len(sorted)/2]
	doubt = max(at.Sub(sorted[0]), sorted[len(sorted)-1].Sub(at))
	return at, doubt + max(now.Sub(w.good.arrival), 0)/(1e6/maxSkew)
}
