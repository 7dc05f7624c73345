package pipelines

import (
	"fmt"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// damaged is why packets and pictures are given up, and what a stream is told to
// be that loses too much.
const damaged = string(ingest.ReasonDamaged)

// A stream is told to be damaged once a minute while, of the last minute, more
// than so much was not analyzed or so often something was missing; it is well
// again at half of that.
const (
	damagePeriod = time.Minute
	lostTooLong  = damagePeriod / 10
	brokenTooOft = 10
)

// losses adds up what damage costs a stream, in its own time.
type losses struct {
	seconds [damagePeriod / time.Second]lossSecond // a ring
	last    time.Duration                          // PTS up to which time is accounted for
	any     bool
	gap     bool          // something is missing after last
	fresh   time.Duration // not analyzed, since the last word of it

	bad    bool // too much was lost within the last minute
	told   bool
	toldAt time.Duration
}

type lossSecond struct {
	number int64 // of the second in the stream's time
	lost   time.Duration
	breaks int
}

// at is the second of the ring that pts is in.
func (l *losses) at(pts time.Duration) *lossSecond {
	number := int64(pts / time.Second)
	s := &l.seconds[number%int64(len(l.seconds))]
	if s.number != number {
		*s = lossSecond{number: number}
	}
	return s
}

// missing notes that something was lost before pts.
func (l *losses) missing(pts time.Duration) {
	l.at(pts).breaks++
	l.gap = true
}

// broken notes a packet that should have been a picture and is none.
func (l *losses) broken(pts time.Duration) {
	l.at(pts).breaks++
	l.picture(pts, true)
}

// picture notes a picture, and whether it is withheld, and tells whether that cost
// anything. Pauses longer than a second are the stream's own.
func (l *losses) picture(pts time.Duration, withheld bool) (cost bool) {
	if step := min(pts-l.last, time.Second); l.any && step > 0 && (withheld || l.gap) {
		l.at(pts).lost += step
		l.fresh += step
	}
	l.gap = false
	l.any, l.last = true, max(l.last, pts)
	return l.fresh > 0
}

// news is what to tell now of what was lost by pts, nil if nothing: that it is too
// much, or is not any more.
func (l *losses) news(pts time.Duration) *detect.ReasonInfo {
	var lost time.Duration
	breaks, now := 0, int64(pts/time.Second)
	for _, s := range l.seconds {
		if now-s.number < int64(len(l.seconds)) {
			lost, breaks = lost+s.lost, breaks+s.breaks
		}
	}
	switch {
	case lost > lostTooLong || breaks > brokenTooOft:
		l.bad = true
	case lost <= lostTooLong/2 && breaks <= brokenTooOft/2:
		l.bad = false
	}
	switch {
	case !l.bad && l.told:
		l.told = false
		return &detect.ReasonInfo{Code: detect.ReasonRecovered, Message: damaged}
	case !l.bad || l.told && pts-l.toldAt < damagePeriod:
		return nil
	}
	l.told, l.toldAt = true, pts
	text := "%.1f s of the last minute were not analyzed, after losing something %d times"
	return &detect.ReasonInfo{Code: damaged, Message: fmt.Sprintf(text, lost.Seconds(), breaks)}
}

// noteLoss looks at what a packet says of those before it.
func (s *stream) noteLoss(p ingest.Packet) {
	if p.Keyframe {
		s.keyframe.came()
	}
	if !p.Break {
		s.keyframe.again(s.pull.requestKeyframe)
		return
	}
	s.epoch.losses.missing(p.PTS)
	s.tellLosses(p.PTS, p.Captured)
	if !p.Keyframe {
		s.keyframe.need(s.pull.requestKeyframe)
	}
}

// tellLosses tells that a stream which delivers loses too much.
func (s *stream) tellLosses(pts time.Duration, at time.Time) {
	if news := s.epoch.losses.news(pts); news != nil && s.epoch.online {
		s.degrade(*news, at)
	}
	s.status.lossy(s.epoch.losses.fresh, s.epoch.losses.bad)
	s.epoch.losses.fresh = 0
}

// degrade tells that a stream which delivers does not deliver well.
func (s *stream) degrade(reason detect.ReasonInfo, at time.Time) {
	s.analyst.control(s.lane.next(), control{degraded: &reason, at: at})
}

// keyframeWish asks for a keyframe at once when one is needed, and again about
// once a second until it comes.
type keyframeWish struct {
	needed bool
	asked  time.Time
}

// Pauses between requests for a keyframe: of one that has not come, and of
// another.
const (
	askAgain   = time.Second
	askAnother = 250 * time.Millisecond
)

func (k *keyframeWish) need(ask func()) {
	if k.needed {
		k.again(ask)
		return
	}
	k.needed = true
	if time.Since(k.asked) >= askAnother {
		k.asked = time.Now()
		ask()
	}
}

// again asks once more for a keyframe that is long in coming.
func (k *keyframeWish) again(ask func()) {
	if k.needed {
		k.ask(ask)
	}
}

// ask asks for a keyframe without anybody's need to be remembered.
func (k *keyframeWish) ask(ask func()) {
	if time.Since(k.asked) >= askAgain {
		k.asked = time.Now()
		ask()
	}
}

func (k *keyframeWish) came() { k.needed = false }
