package ingest_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sightline/ingest"
)

// sender is a camera that never was. Its life is told in true time, which is
// that of our clock, from its start.
type sender struct {
	hours    float64       // how long it sends; 0: ten minutes
	ppm      float64       // media clock against truth
	ticks    float64       // what its RTP clock really does a second; 0: rate
	bframes  int           // decoded after a picture shown later
	latency  time.Duration // from capture to sending
	network  time.Duration // mean of the exponential delay on the way
	every    time.Duration // between reports; 0: none
	wall     func(at time.Duration) time.Duration
	report   func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) // spoils a report
	arrive   func(at time.Duration) time.Duration                       // spoils arrivals
	stamps   int                                                        // every n-th picture carries its capture time
	restarts time.Duration                                              // how often the RTP clock begins anew
}

// picture is what became of one.
type picture struct {
	ingest.Stamp
	taken   time.Duration // in truth
	claimed time.Duration // by the sender's own wall clock
	arrived time.Duration
}

func (p picture) at() time.Duration { return p.Captured.Sub(epoch) }

// wrong is how far the capture time is from what its source could know: the
// sender's clock, or the earliest arrival, which is least after the capture.
func (p picture) wrong(least time.Duration) time.Duration {
	if p.Clock.Source == ingest.ClockArrival {
		return p.at() - p.taken - least
	}
	return p.at() - p.claimed
}

// run sends pictures, in decoding order, and reports through a timeline and
// returns the pictures in presentation order.
func (s sender) run(t *testing.T, seed uint64) []picture {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	l := ingest.NewTimeline(rate)
	base := random.Uint32()
	ticks := cmp.Or(s.ticks, rate) * (1 + s.ppm/1e6)
	rtp := func(at time.Duration) uint32 {
		if s.restarts > 0 {
			return uint32(int64(float64(at%s.restarts)/1e9*ticks)) + base*uint32(1+at/s.restarts)
		}
		return uint32(int64(at.Seconds()*ticks)) + base
	}
	clock := func(at time.Duration) time.Duration {
		if s.wall == nil {
			return at
		}
		return s.wall(at)
	}
	now := time.Duration(0)
	// reach is when something sent at that time comes, in order of sending.
	reach := func(sent time.Duration) time.Time {
		sent += time.Duration(random.ExpFloat64() * float64(s.network))
		if s.arrive != nil {
			sent = s.arrive(sent)
		}
		now = max(now, sent)
		return epoch.Add(now)
	}
	length := 10 * time.Minute
	if s.hours > 0 {
		length = time.Duration(s.hours * float64(time.Hour))
	}
	var out []picture
	reports, due := 0, s.every
	group := s.bframes + 1
	for first := 0; time.Duration(first)*step < length; first += group {
		for k := range group {
			i := first + (k+s.bframes)%group // the last of the group, then those shown before it
			taken := time.Duration(i) * step
			sent := time.Duration(first+s.bframes+k)*step + s.latency
			for ; s.every > 0 && due <= sent; due += s.every {
				ntp, stamp := epoch.Add(clock(due)), rtp(due)
				if s.report != nil {
					ntp, stamp = s.report(reports, ntp, stamp)
				}
				reports++
				l.Report(ntp, stamp, reach(due))
			}
			arrival := reach(sent)
			if s.stamps > 0 && i%s.stamps == 0 {
				l.Stamped(ingest.ClockAbsCapture, epoch.Add(clock(taken)), rtp(taken), arrival)
			}
			out = append(out, picture{l.At(rtp(taken), arrival), taken, clock(taken), now})
		}
	}
	slices.SortStableFunc(out, func(a, b picture) int { return cmp.Compare(a.PTS, b.PTS) })
	for i := range out[1:] {
		if out[i+1].Captured.Before(out[i].Captured) {
			t.Fatalf("seed %d: captured %v before the picture shown before it, at PTS %v", seed, out[i].Captured.Sub(out[i+1].Captured), out[i].PTS)
		}
	}
	return out
}
