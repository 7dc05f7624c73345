// Package track follows detections from frame to frame. It is pure: no I/O, no
// clock; the same detections give the same tracks.
package track

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sightline/detect"
)

// Config is how objects are followed. Scores and overlaps are 0..1.
type Config struct {
	High    float64       // boxes from this score on are associated first
	Low     float64       // boxes from this score on keep a track alive
	New     float64       // boxes from this score on may begin a track
	Overlap float64       // the least IoU of a track and a high box
	Confirm int           // how many boxes in a row make a track an object
	Lost    time.Duration // how long a track without a box is kept, and the longest hole in a stream it survives
	Groups  [][]string    // classes that one object may be taken for; any other class stays itself
	Motion  Motion

	// Published follows the authors' code where this package differs: overlap is
	// weighted with the box's score, so that Overlap is the least product, and
	// tracks that are not confirmed do not move and must overlap more.
	Published bool
}

// Motion is the noise of the motion model: standard deviations per Step, in
// parts of the object's height. A faster stream is followed by shorter steps.
type Motion struct {
	Step  time.Duration
	Place float64 // of where it is
	Speed float64 // of how far it gets in a step
}

// Defaults suits 3 to 30 inferences a second from a fixed camera. It differs
// from the published values: more trust in the place and less in the speed, no
// score in the overlap, a smaller overlap and a longer memory; on people walking
// (PETS09-S2L1 at 10, 5 and 3.3 frames a second) each of these raised IDF1.
func Defaults() Config {
	return Config{
		High: 0.5, Low: 0.1, New: 0.6, Overlap: 0.1, Confirm: 2, Lost: 3 * time.Second,
		Groups: [][]string{{"car", "truck", "bus"}},
		Motion: Motion{Step: 100 * time.Millisecond, Place: 1. / 40, Speed: 1. / 80},
	}
}

// Validate returns everything wrong with the config.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !(0 <= c.Low && c.Low <= c.High && c.High <= c.New && c.New <= 1) {
		bad("low %v, high %v, new %v: want 0 <= low <= high <= new <= 1", c.Low, c.High, c.New)
	}
	if !(0 < c.Overlap && c.Overlap <= 1) {
		bad("overlap %v is not within 0..1, 0 excluded", c.Overlap)
	}
	if c.Confirm < 1 {
		bad("confirm %d: a track needs a box", c.Confirm)
	}
	if c.Lost <= 0 {
		bad("lost %v is not a time to keep a track", c.Lost)
	}
	if c.Motion.Step <= 0 || !(c.Motion.Place > 0) || !(c.Motion.Speed > 0) {
		bad("motion: step, place and speed must be above 0")
	}
	var classes []string
	for _, g := range c.Groups {
		for _, class := range g {
			if slices.Contains(classes, class) {
				bad("groups: %s is in two places", class)
			}
			classes = append(classes, class)
		}
	}
	return errors.Join(errs...)
}

// Factory makes a new tracker for each epoch of a stream.
type Factory func() detect.Tracker

// NewFactory checks cfg once for all trackers that are made from it.
func NewFactory(cfg Config) (Factory, error) {
	if _, err := New(cfg); err != nil {
		return nil, err
	}
	return func() detect.Tracker { return newTracker(cfg) }, nil
}
