package rules

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // time zones must not depend on what the machine has installed

	"sightline/detect"
)

const (
	// maxGap is the longest time between two scenes that counts as covered.
	maxGap = 10 * time.Second
	// maxWindows bounds how many windows one jump in time reports.
	maxWindows = 1000
)

// count reports how many crossed a line, window by window.
type count struct {
	ruleBase
	line       crossings
	zone       *time.Location
	start, end time.Time     // of the current window, zero before the first scene
	covered    time.Duration // of it
	last       time.Time     // the last scene of this epoch, zero before one
	told       bool          // the current window was reported at a close, nothing came since
	tally      map[tallyKey]int
}

type tallyKey struct{ class, direction string }

func newCount(base ruleBase, line Line) (detect.Rule, error) {
	zone, err := time.LoadLocation(base.cfg.Timezone)
	if err != nil {
		return nil, fmt.Errorf("rule %s: timezone: %w", base.cfg.Name, err)
	}
	return &count{ruleBase: base, line: crossings{line: line}, zone: zone, tally: map[tallyKey]int{}}, nil
}

func (r *count) Apply(s detect.Scene) []detect.Event {
	events := r.roll(s.At, !r.last.IsZero() && s.At.Sub(r.last) <= maxGap)
	r.last, r.told = s.At, false
	for _, x := range r.line.update(s) {
		if r.wants(x.track.Class) {
			r.tally[tallyKey{x.track.Class, x.direction}]++
		}
	}
	return events
}

// Advance reports the windows that ended by at, without a scene.
func (r *count) Advance(at time.Time) []detect.Event {
	if r.start.IsZero() || at.Before(r.start) {
		return nil
	}
	return r.roll(at, false)
}

// Close cuts the current window: its part is reported with the whole window's
// bounds and what it covered; parts of later epochs follow.
func (r *count) Close(at time.Time) []detect.Event {
	events := r.Advance(at)
	if !r.start.IsZero() && !r.told {
		events = append(events, r.report(at))
		r.told = true
	}
	r.last = time.Time{}
	r.line.close()
	return events
}

// roll makes the window that holds at the current one and reports those before
// it. covering says that the time since the last scene was watched.
func (r *count) roll(at time.Time, covering bool) []detect.Event {
	var events []detect.Event
	for n := 0; !r.start.IsZero() && !at.Before(r.end); n++ {
		if n == maxWindows {
			r.start = time.Time{}
			break
		}
		if covering {
			r.cover(r.end)
		}
		if !r.told {
			events = append(events, r.report(at))
		}
		r.told = false
		r.start, r.end = window(r.end, r.cfg.Every, r.zone)
	}
	if r.start.IsZero() || at.Before(r.start) { // a new epoch may begin earlier
		r.start, r.end = window(at, r.cfg.Every, r.zone)
		r.told = false
	}
	if covering {
		r.cover(at)
	}
	return events
}

// cover adds the time since the last scene, or the window's start, up to t.
func (r *count) cover(t time.Time) {
	from := r.last
	if from.Before(r.start) {
		from = r.start
	}
	r.covered += t.Sub(from)
}

// report makes the event of the current window and starts counting again.
func (r *count) report(at time.Time) detect.Event {
	counts := make([]detect.Count, 0, len(r.tally))
	for k, n := range r.tally {
		counts = append(counts, detect.Count{Class: k.class, Direction: k.direction, Count: n})
	}
	slices.SortFunc(counts, func(a, b detect.Count) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), -cmp.Compare(a.Direction, b.Direction))
	})
	e := r.event(detect.CountReported, "line/"+r.line.line.Name, at)
	e.Data.Line = &detect.LineInfo{Name: r.line.line.Name}
	e.Data.Window = &detect.Window{Start: r.start, End: r.end, CoveredS: r.covered.Seconds()}
	e.Data.Counts = &counts
	clear(r.tally)
	r.covered = 0
	return e
}

// window returns the window of t: the times on the wall clock of a place that
// are multiples of every after midnight bound it. A window in which the clock is
// changed is longer or shorter by that.
func window(t time.Time, every time.Duration, place *time.Location) (start, end time.Time) {
	local := t.In(place)
	start = floor(local, every)
	if from, _ := local.ZoneBounds(); !from.IsZero() && start.Before(from) {
		if start, end = window(from.Add(-1), every, place); end.After(t) {
			return start, end
		}
		start = end
	}
	from := start.In(place)
	end = floor(from, every).Add(every)
	if _, until := from.ZoneBounds(); !until.IsZero() && end.After(until) {
		if end = floor(until.In(place), every); end.Before(until) {
			end = end.Add(every)
		}
	}
	return start.UTC(), end.UTC()
}

// floor is the last time by t's own offset that is a multiple of every.
func floor(t time.Time, every time.Duration) time.Time {
	_, offset := t.Zone()
	o := time.Duration(offset) * time.Second
	return t.Add(o).Truncate(every).Add(-o)
}
