package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"sightline/ingest"
)

const ms = time.Millisecond

// expect is what must hold of every picture from a time on.
type expect struct {
	from   time.Duration
	until  time.Duration // 0: the end
	source ingest.ClockSource
	error  time.Duration // at most
	drift  float64       // as told; 0 is not looked at
	wall   float64
	offset time.Duration // least size of it; 0 is not looked at
	none   bool          // no offset is told
}

// A step of the camera's clock, as when it asks a time server after booting.
func stepAt(when, by time.Duration) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		if at < when {
			return at + by
		}
		return at
	}
}

func skewed(ppm float64) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration { return at + time.Duration(float64(at)*ppm/1e6) }
}

func TestTimelineOfSenders(t *testing.T) {
	good := sender{every: 5 * time.Second, latency: 100 * ms, network: 10 * ms}
	with := func(change func(*sender)) sender {
		s := good
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		sender
		least time.Duration // of the way here
		want  []expect
	}{
		"good": {good, 0, []expect{{from: 10 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}}},
		"fast for an hour": {with(func(s *sender) { s.hours, s.ppm = 1, 500 }), 0, []expect{
			{from: 10 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}, {from: 10 * time.Minute, source: ingest.ClockRTCP, error: 20 * ms, drift: 500}}},
		"slow for an hour": {with(func(s *sender) { s.hours, s.ppm, s.bframes = 1, -500, 3 }), 0, []expect{
			{from: 10 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}, {from: 10 * time.Minute, source: ingest.ClockRTCP, error: 20 * ms, drift: -500}}},
		"both clocks fast": {with(func(s *sender) { s.hours, s.ppm, s.wall = 1, 300, skewed(300) }), 0, []expect{
			{from: 10 * time.Minute, source: ingest.ClockRTCP, error: 20 * ms, drift: 300, wall: 300}}},
		"fast, no reports": {with(func(s *sender) { s.hours, s.ppm, s.every = 1, 500, 0 }), 100 * ms, []expect{
			{from: 20 * time.Second, source: ingest.ClockArrival, error: 20 * ms}, {from: 5 * time.Minute, source: ingest.ClockArrival, error: 10 * ms, drift: 500}}},
		"slow, no reports": {with(func(s *sender) { s.hours, s.ppm, s.every, s.bframes = 1, -500, 0, 2 }), 100 * ms, []expect{
			{from: 20 * time.Second, source: ingest.ClockArrival, error: 25 * ms}, {from: 5 * time.Minute, source: ingest.ClockArrival, error: 10 * ms, drift: -500}}},
		"jittery network, no reports": {with(func(s *sender) { s.network, s.every = 150*ms, 0 }), 100 * ms, []expect{
			{from: 20 * time.Second, source: ingest.ClockArrival, error: 250 * ms}}},
		"jittery network": {with(func(s *sender) { s.network = 200 * ms }), 0, []expect{{from: 20 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}}},
		"clock set after 2 minutes, 1 h slow before": {with(func(s *sender) { s.wall = stepAt(2*time.Minute, -time.Hour) }), 100 * ms, []expect{
			{from: 20 * time.Second, until: 119 * time.Second, source: ingest.ClockArrival, error: 20 * ms, offset: 59 * time.Minute},
			{from: 150 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}}},
		"clock set after 2 minutes, 1 h fast before": {with(func(s *sender) { s.wall, s.bframes = stepAt(2*time.Minute, time.Hour), 1 }), 100 * ms, []expect{
			{from: 20 * time.Second, until: 119 * time.Second, source: ingest.ClockArrival, error: 20 * ms, offset: 59 * time.Minute},
			{from: 150 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}}},
		"clock set back by 3 s": {with(func(s *sender) { s.wall = stepAt(2*time.Minute, 3*time.Second) }), 0, []expect{
			{from: 80 * time.Second, until: 119 * time.Second, source: ingest.ClockRTCP, error: 20 * ms},
			{from: 200 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}}},
		"never set": {with(func(s *sender) { s.wall = func(at time.Duration) time.Duration { return at - 20*365*24*time.Hour } }), 100 * ms, []expect{
			{from: 20 * time.Second, source: ingest.ClockArrival, error: 20 * ms, offset: 24 * time.Hour}}},
		"words swapped": {with(func(s *sender) {
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) {
				return time.Unix(int64(ntp.Nanosecond())*4-2208988800, ntp.Unix()&0xff), rtp
			}
		}), 100 * ms, []expect{{from: 20 * time.Second, source: ingest.ClockArrival, error: 20 * ms, none: true}}},
		"RTP time of another stream": {with(func(s *sender) {
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) { return ntp, rtp + 1<<30 }
		}), 100 * ms, []expect{{from: 20 * time.Second, source: ingest.ClockArrival, error: 20 * ms}}},
		"frozen wall clock": {with(func(s *sender) {
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) { return epoch, rtp }
		}), 100 * ms, []expect{{from: time.Minute, source: ingest.ClockArrival, error: 20 * ms}}},
		"the same report over and over": {with(func(s *sender) {
			var first func() (time.Time, uint32)
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) {
				if n == 0 {
					first = func() (time.Time, uint32) { return ntp, rtp }
				}
				return first()
			}
		}), 100 * ms, []expect{{from: 10 * time.Second, until: time.Minute, source: ingest.ClockRTCP, error: 20 * ms}, {from: 80 * time.Second, source: ingest.ClockArrival, error: 20 * ms}}},
		"reports jump about": {with(func(s *sender) {
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) {
				return ntp.Add(time.Duration(n*n*7919%9000-4500) * ms), rtp
			}
		}), 100 * ms, []expect{{from: 2 * time.Minute, source: ingest.ClockArrival, error: 100 * ms}}},
		"one bad report in ten": {with(func(s *sender) {
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) {
				if n%10 == 9 {
					return time.Unix(0, 0), rtp
				}
				return ntp, rtp
			}
		}), 0, []expect{{from: 10 * time.Second, source: ingest.ClockRTCP, error: 20 * ms}}},
		"reports dated by the latest picture": {with(func(s *sender) {
			s.report = func(n int, ntp time.Time, rtp uint32) (time.Time, uint32) { return ntp, rtp - 3600*uint32(n%3)/2 }
		}), 0, []expect{{from: 30 * time.Second, source: ingest.ClockRTCP, error: 40 * ms}}},
		"ticks 48000":           {with(func(s *sender) { s.ticks = 48000 }), 100 * ms, []expect{{from: 3 * time.Minute, source: ingest.ClockArrival, error: 50 * ms, drift: -466667}}},
		"ticks 100000":          {with(func(s *sender) { s.ticks = 100000 }), 100 * ms, []expect{{from: 2 * time.Minute, source: ingest.ClockArrival, error: 50 * ms, drift: 111111}}},
		"ticks 900000":          {with(func(s *sender) { s.ticks = 900000 }), 100 * ms, []expect{{from: 6 * time.Minute, source: ingest.ClockArrival, error: 100 * ms}}},
		"stamps on all":         {with(func(s *sender) { s.stamps, s.bframes = 1, 2 }), 0, []expect{{from: 10 * time.Second, source: ingest.ClockAbsCapture, error: 2 * ms}}},
		"stamps on few":         {with(func(s *sender) { s.stamps, s.ppm = 25, 500 }), 0, []expect{{from: 10 * time.Second, source: ingest.ClockAbsCapture, error: 3 * ms}}},
		"stalls of 15 s":        {with(func(s *sender) { s.arrive = stalls }), 100 * ms, []expect{{error: 5 * time.Second}}},
		"stalls, no reports":    {with(func(s *sender) { s.arrive, s.every = stalls, 0 }), 100 * ms, []expect{{source: ingest.ClockArrival, error: 5 * time.Second}}},
		"RTP clock begins anew": {with(func(s *sender) { s.restarts = 45 * time.Second }), 100 * ms, []expect{{from: 10 * time.Second, error: 200 * ms}}},
	} {
		t.Run(name, func(t *testing.T) {
			seeds := uint64(2)
			if c.hours > 0 {
				seeds = 1
			}
			for seed := range seeds {
				out := c.run(t, seed)
				for _, want := range c.want {
					check(t, fmt.Sprintf("seed %d from %v", seed, want.from), out, c.least, want)
				}
			}
		})
	}
}

// stalls holds the network up for 15 s every two minutes; all comes at once then.
func stalls(at time.Duration) time.Duration {
	if into := at % (2 * time.Minute); into > time.Minute && into < 75*time.Second {
		return at - into + 75*time.Second
	}
	return at
}

func check(t *testing.T, name string, out []picture, least time.Duration, want expect) {
	t.Helper()
	for _, p := range out {
		if p.taken < want.from || want.until > 0 && p.taken >= want.until {
			continue
		}
		wrong, near := p.wrong(least), func(got, want float64) bool { return max(got-want, want-got) < 40+max(want, -want)/100 }
		switch {
		case want.source != "" && p.Clock.Source != want.source:
			t.Fatalf("%s: picture of %v: clock %+v", name, p.taken, p.Clock)
		case wrong.Abs() > want.error:
			t.Fatalf("%s: picture of %v: %v wrong, clock %+v", name, p.taken, wrong, p.Clock)
		case want.drift != 0 && !near(p.Clock.Drift, want.drift), want.wall != 0 && !near(p.Clock.WallDrift, want.wall):
			t.Fatalf("%s: picture of %v: drift %.0f and %.0f ppm", name, p.taken, p.Clock.Drift, p.Clock.WallDrift)
		case p.Clock.Offset.Abs() < want.offset:
			t.Fatalf("%s: picture of %v: offset %v", name, p.taken, p.Clock.Offset)
		case want.none && p.Clock.Offset != 0:
			t.Fatalf("%s: picture of %v: offset %v of a clock that jumps about", name, p.taken, p.Clock.Offset)
		case wrong.Abs() > p.Clock.Uncertainty+5*ms:
			t.Fatalf("%s: picture of %v: %v wrong, said to be within %v by %s", name, p.taken, wrong, p.Clock.Uncertainty, p.Clock.Source)
		}
	}
}
