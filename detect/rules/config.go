// Package rules says what tracks mean: it turns the scenes of one stream into
// labeled events. It is pure: no I/O, no clock, and the same scenes give the
// same events.
//
// A kind of rule is one file with a constructor and one line in newRule.
package rules

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sightline/detect"
)

// Anchor is the point of a box that lines and zones look at.
type Anchor string

// Anchors. The zero value means AnchorBottom.
const (
	AnchorBottom Anchor = "bottom" // the middle of the lower edge: where an object meets the ground
	AnchorCenter Anchor = "center"
	AnchorTop    Anchor = "top"
)

func (a Anchor) of(r detect.Rect) detect.Point {
	switch a {
	case AnchorCenter:
		return r.Center()
	case AnchorTop:
		return r.Top()
	}
	return r.Bottom()
}

func (a Anchor) validate() error {
	if !slices.Contains([]Anchor{"", AnchorBottom, AnchorCenter, AnchorTop}, a) {
		return fmt.Errorf("anchor %q is none of bottom, center, top", a)
	}
	return nil
}

// DefaultHysteresis is how far from a line an object must have been before it
// can cross it again, in parts of the picture.
const DefaultHysteresis = 0.01

// Line is a segment drawn on the picture from Points[0] to Points[1]. What goes
// from the arrow's left to its right crosses forward.
type Line struct {
	Name       string
	Points     [2]detect.Point
	Hysteresis float64 // parts of the picture, 0 counts every crossing
	Anchor     Anchor
}

// Validate returns everything wrong with the line.
func (l Line) Validate() error {
	errs := []error{l.Anchor.validate()}
	if l.Points[0] == l.Points[1] {
		errs = append(errs, errors.New("both points are the same"))
	}
	for _, p := range l.Points {
		errs = append(errs, inPicture(p))
	}
	if !(l.Hysteresis >= 0 && l.Hysteresis <= 0.5) {
		errs = append(errs, fmt.Errorf("hysteresis %v is not within 0..0.5", l.Hysteresis))
	}
	return errors.Join(errs...)
}

// Zone is a polygon drawn on the picture; its border belongs to it. Where it
// crosses itself the even-odd rule holds.
type Zone struct {
	Name    string
	Polygon []detect.Point // closed by itself
	Anchor  Anchor
}

// Validate returns everything wrong with the zone.
func (z Zone) Validate() error {
	errs := []error{z.Anchor.validate()}
	if len(z.Polygon) < 3 {
		errs = append(errs, fmt.Errorf("a polygon needs 3 points, not %d", len(z.Polygon)))
	} else if flat(z.Polygon) {
		errs = append(errs, errors.New("all points of the polygon lie on one line"))
	}
	for _, p := range z.Polygon {
		errs = append(errs, inPicture(p))
	}
	return errors.Join(errs...)
}

func inPicture(p detect.Point) error {
	if !(p.X >= 0 && p.X <= 1 && p.Y >= 0 && p.Y <= 1) {
		return fmt.Errorf("point [%v, %v] is not within 0..1 of the picture", p.X, p.Y)
	}
	return nil
}

// Kind is a kind of rule.
type Kind string

// Kinds of rules.
const (
	Crossing  Kind = "crossing"  // line.crossed
	Presence  Kind = "presence"  // zone.entered, zone.exited
	Dwell     Kind = "dwell"     // zone.dwell, once a visit
	Occupancy Kind = "occupancy" // zone.occupancy on change
	Count     Kind = "count"     // count.reported
)

// Kinds returns every kind, in the order of the documentation.
func Kinds() []Kind { return []Kind{Crossing, Presence, Dwell, Occupancy, Count} }

// RuleConfig is one rule of one stream.
type RuleConfig struct {
	Name     string
	Kind     Kind
	Line     string          // crossing, count: a line's name
	Zone     string          // presence, dwell, occupancy: a zone's name
	Classes  []string        // only these; empty is all
	For      time.Duration   // dwell: how long a visit lasts before it is told
	Every    time.Duration   // count: the window, which divides a day
	Timezone string          // count: IANA name whose wall clock the windows align to; empty is UTC
	Severity detect.Severity // of the rule's events; 0 is detect.Info
}

// Validate returns everything wrong with the rule by itself; New also knows
// whether its line or zone is there.
func (r RuleConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	line := r.Kind == Crossing || r.Kind == Count
	switch {
	case !slices.Contains(Kinds(), r.Kind):
		bad("kind %q is none of %v", r.Kind, Kinds())
	case line && r.Line == "":
		bad("a %s rule needs a line", r.Kind)
	case !line && r.Zone == "":
		bad("a %s rule needs a zone", r.Kind)
	}
	if r.Kind == Dwell && r.For <= 0 {
		bad("for: %v is not a time to dwell", r.For)
	}
	if r.Kind == Count {
		if r.Every < time.Second || 24*time.Hour%r.Every != 0 {
			bad("every: %v does not divide a day into windows of a second or more", r.Every)
		}
		if _, err := time.LoadLocation(r.Timezone); err != nil {
			bad("timezone: %w", err)
		}
	}
	return errors.Join(errs...)
}

// Config is what one stream is watched for.
type Config struct {
	Info        detect.StreamInfo // of the stream; Epoch is ignored, Online sets it
	Model       detect.Model      // what really runs; left out of events while Name is empty
	Lines       []Line
	Zones       []Zone
	Rules       []RuleConfig  // their events come in this order
	UpdateEvery time.Duration // of stream time between updates of an object that nothing happens to; 0 sends none
	Confidence  float64       // detections events hold boxes from this score on, unless the scene says otherwise
	Live        bool          // events carry the scene's timing
}

// Validate returns everything wrong with the config.
func (c Config) Validate() error {
	var errs []error
	names := map[string]bool{}
	check := func(what, name string, err error) {
		if key := what + name; names[key] {
			errs = append(errs, fmt.Errorf("%s %s: there are two of that name", what, name))
		} else {
			names[key] = true
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", what, name, err))
		}
	}
	for _, l := range c.Lines {
		check("line", l.Name, l.Validate())
	}
	for _, z := range c.Zones {
		check("zone", z.Name, z.Validate())
	}
	for _, r := range c.Rules {
		check("rule", r.Name, r.Validate())
	}
	if c.Info.Site == "" || c.Info.Name == "" {
		errs = append(errs, errors.New("the stream has no site or no name"))
	}
	if c.UpdateEvery < 0 {
		errs = append(errs, fmt.Errorf("update_every: %v is negative", c.UpdateEvery))
	}
	return errors.Join(errs...)
}
