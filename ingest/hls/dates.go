package hls

import (
	"time"

	"sightline/ingest"
)

// How far a live playlist's dates may be from now to be believed: one that is
// ahead, or this far behind, comes from a clock that was never set.
const (
	maxAhead  = 10 * time.Second
	maxBehind = 10 * time.Minute
)

// dates maps presentation times to the wall time that playlists give. Whether
// they are believed is decided once in an epoch: capture times must not run
// backwards, as they would where two clocks take turns.
type dates struct {
	decided, known bool
	origin         time.Time     // of presentation time 0
	doubt          time.Duration // how far origin is from what the playlist says
	highest        time.Duration // presentation time so far
}

// segment takes the date of a segment whose first picture has that time. A date
// that would turn time back counts only as far as it does not.
func (d *dates) segment(s piece, first time.Duration) {
	behind := s.arrival.Sub(s.captured)
	believed := !s.captured.IsZero() && !(s.live && (behind < -maxAhead || behind > maxBehind))
	said := s.captured.Add(-first)
	switch {
	case !d.decided:
		d.decided, d.known, d.origin = true, believed, said
		d.highest = first
	case d.known && believed:
		d.doubt = 0
		earliest := d.origin.Add(d.highest - first)
		if d.origin = said; said.Before(earliest) {
			d.origin, d.doubt = earliest, earliest.Sub(said)
		}
	}
}

// at is when the picture with that presentation time was captured, zero when the
// playlist does not say.
func (d *dates) at(pts time.Duration) (time.Time, ingest.Clock) {
	if !d.known {
		return time.Time{}, ingest.Clock{}
	}
	d.highest = max(d.highest, pts)
	return d.origin.Add(pts), ingest.Clock{Source: ingest.ClockPlaylist, Uncertainty: d.doubt}
}
