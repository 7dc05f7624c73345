package rules

import (
	"time"

	"sightline/detect"
)

// crossings finds where the anchors of confirmed tracks cross a line.
//
// An object counts where the path of its anchor from one box to the next meets
// the segment. After that it counts again only once its anchor was farther than
// the hysteresis from the segment, so dithering on the line counts once. A path
// that touches the line and turns back does not cross it.
type crossings struct {
	line   Line
	tracks roster[approach]
}

type approach struct {
	anchor detect.Point // at the last box
	seen   time.Time
	side   float64 // of the last anchor off the line, 0 while there was none
	spent  bool    // has crossed and not been far enough away since
}

// crossed is one crossing.
type crossed struct {
	track     *detect.Track
	direction string
	at        time.Time
	point     detect.Point
}

// update returns the crossings of a scene in order of track ids.
func (c *crossings) update(s detect.Scene) []crossed {
	var found []crossed
	c.tracks.each(s, func(t *detect.Track, a *approach, first bool) {
		if t.Detection < 0 {
			return
		}
		p := c.line.Anchor.of(t.Box)
		if !first {
			if x, ok := c.cross(a, p, s.At); ok {
				x.track = t
				found = append(found, x)
			}
		}
		if d := side(c.line.Points[0], c.line.Points[1], p); d != 0 {
			a.side = d
		}
		if distance(c.line.Points[0], c.line.Points[1], p) > c.line.Hysteresis {
			a.spent = false
		}
		a.anchor, a.seen = p, s.At
	})
	c.tracks.gone(func(*approach) {})
	return found
}

// cross tells whether an object that was at a crosses on its way to p.
func (c *crossings) cross(a *approach, p detect.Point, at time.Time) (crossed, bool) {
	from, to := c.line.Points[0], c.line.Points[1]
	before, after := side(from, to, a.anchor), side(from, to, p)
	if a.side == 0 || after == 0 || (a.side > 0) == (after > 0) || a.spent {
		return crossed{}, false
	}
	t := before / (before - after) // before is 0 or of a.side's sign
	meet := detect.Point{X: a.anchor.X + t*(p.X-a.anchor.X), Y: a.anchor.Y + t*(p.Y-a.anchor.Y)}
	if !within(from, to, meet) {
		return crossed{}, false
	}
	a.spent = true
	direction := "forward"
	if after < 0 {
		direction = "backward"
	}
	when := a.seen.Add(time.Duration(t * float64(at.Sub(a.seen))))
	return crossed{direction: direction, at: when, point: meet}, true
}

func (c *crossings) close() { c.tracks.clear(func(*approach) {}) }

// crossing tells of every crossing of a line.
type crossing struct {
	ruleBase
	line crossings
}

func (r *crossing) Apply(s detect.Scene) []detect.Event {
	var events []detect.Event
	for _, x := range r.line.update(s) {
		if !r.wants(x.track.Class) {
			continue
		}
		e := r.trackEvent(detect.LineCrossed, detect.TrackID(s.Epoch, x.track.ID), s.At)
		e.Data.Line = &detect.LineInfo{Name: r.line.line.Name, Direction: x.direction, CrossedAt: &x.at, Point: &x.point}
		events = append(events, e)
	}
	return events
}

func (r *crossing) Close(time.Time) []detect.Event {
	r.line.close()
	return nil
}
