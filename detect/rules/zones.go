package rules

import (
	"time"

	"sightline/detect"
)

// exitMargin is how far outside a zone, in parts of the picture, an anchor must
// be for its object to have left: boxes tremble by about that much.
const exitMargin = 0.005

// still reports whether an anchor at p keeps an object inside the zone.
func (z *Zone) still(p detect.Point, inside bool) bool {
	return contains(z.Polygon, p) || inside && outsideBy(z.Polygon, p) <= exitMargin
}

// visits follows who is inside a zone. An object that is not seen for a while
// stays where it was; a change of its class does not end its visit.
type visits struct {
	zone   Zone
	wants  func(class string) bool
	tracks roster[visit]
	count  int // objects inside
}

type visit struct {
	track  string // its id
	number int    // of the visit, from 1
	inside bool
	since  time.Time // the object was first seen inside on this visit
	last   time.Time // and last seen
	told   bool      // of its dwelling
}

func (v *visit) dwell() *float64 {
	d := v.last.Sub(v.since).Seconds()
	return &d
}

// update moves objects in and out, in order of their tracks.
func (z *visits) update(s detect.Scene, entered, exited func(*visit)) {
	z.tracks.each(s, func(t *detect.Track, v *visit, first bool) {
		if first {
			v.track = detect.TrackID(s.Epoch, t.ID)
		}
		if t.Detection < 0 {
			return
		}
		inside := z.zone.still(z.zone.Anchor.of(t.Box), v.inside)
		switch {
		case inside && !v.inside && z.wants(t.Class):
			*v = visit{track: v.track, number: v.number + 1, inside: true, since: s.At, last: s.At}
			z.count++
			entered(v)
		case inside && v.inside:
			v.last = s.At
		case !inside && v.inside:
			v.last = s.At
			z.leave(v, exited)
		}
	})
	z.tracks.gone(func(v *visit) { z.leave(v, exited) })
}

func (z *visits) leave(v *visit, exited func(*visit)) {
	if !v.inside {
		return
	}
	v.inside = false
	z.count--
	exited(v)
}

func (z *visits) close(exited func(*visit)) {
	z.tracks.clear(func(v *visit) { z.leave(v, exited) })
}

// presence tells who enters and leaves a zone.
type presence struct {
	ruleBase
	visits visits
}

func (r *presence) Apply(s detect.Scene) []detect.Event {
	var events []detect.Event
	r.visits.update(s,
		func(v *visit) { events = append(events, r.entered(v, s.At)) },
		func(v *visit) { events = append(events, r.exited(v, s.At)) })
	return events
}

func (r *presence) entered(v *visit, at time.Time) detect.Event {
	e := r.trackEvent(detect.ZoneEntered, v.track, at)
	e.Data.Zone = &detect.ZoneInfo{Name: r.visits.zone.Name, Visit: v.number}
	return e
}

func (r *presence) exited(v *visit, at time.Time) detect.Event {
	e := r.trackEvent(detect.ZoneExited, v.track, at)
	e.Data.Zone = &detect.ZoneInfo{Name: r.visits.zone.Name, Visit: v.number, DwellS: v.dwell()}
	return e
}

func (r *presence) Close(at time.Time) []detect.Event {
	var events []detect.Event
	r.visits.close(func(v *visit) { events = append(events, r.exited(v, at)) })
	return events
}

// dwell tells once a visit that somebody stays in a zone.
type dwell struct {
	ruleBase
	visits visits
}

func (r *dwell) Apply(s detect.Scene) []detect.Event {
	r.visits.update(s, func(*visit) {}, func(*visit) {})
	var events []detect.Event
	for _, t := range r.visits.tracks.order {
		v := &t.value
		if !v.inside || v.told || v.last.Sub(v.since) < r.cfg.For {
			continue
		}
		v.told = true
		e := r.trackEvent(detect.ZoneDwell, v.track, s.At)
		e.Data.Zone = &detect.ZoneInfo{Name: r.visits.zone.Name, Visit: v.number, DwellS: v.dwell()}
		events = append(events, e)
	}
	return events
}

func (r *dwell) Close(time.Time) []detect.Event {
	r.visits.close(func(*visit) {})
	return nil
}

// occupancy tells how many are in a zone whenever that changes; before the
// first change it is 0.
type occupancy struct {
	ruleBase
	visits visits
	told   int
}

func (r *occupancy) Apply(s detect.Scene) []detect.Event {
	r.visits.update(s, func(*visit) {}, func(*visit) {})
	return r.tell(s.At)
}

func (r *occupancy) tell(at time.Time) []detect.Event {
	if r.visits.count == r.told {
		return nil
	}
	r.told = r.visits.count
	n := r.told
	e := r.event(detect.ZoneOccupancy, "zone/"+r.visits.zone.Name, at)
	e.Data.Zone = &detect.ZoneInfo{Name: r.visits.zone.Name, Occupancy: &n}
	return []detect.Event{e}
}

func (r *occupancy) Close(at time.Time) []detect.Event {
	r.visits.close(func(*visit) {})
	return r.tell(at)
}
