// Package quality notices pictures that no detector can use, though they arrive
// whole: frozen, black, covered, out of focus, or of a place the camera was not
// set up for. It looks at a small picture of brightness about once a second and
// compares it with what the camera usually shows.
//
// Frozen is told by samples that do not change, black by their level; the others
// against a reference that is learned in the first seconds and follows day and
// night over minutes.
//
// It has limits. A camera that is covered from the start is what it usually shows.
// A scene without any noise in which nothing happens, as a screen, is frozen. A
// frozen one that is coded with few bits at a constant rate changes with every
// keyframe, and is not. A camera turned by less than a twentieth of the picture's
// width, or put out of focus by less than a small picture shows, is well.
package quality

import (
	"fmt"
	"slices"
	"time"
)

// Condition is something wrong with a picture, as events name it.
type Condition string

// Conditions.
const (
	Frozen  Condition = "frozen"  // the same picture again and again
	Black   Condition = "black"   // nothing above the level of black
	Covered Condition = "covered" // most detail is gone, and with it the picture's layout
	Blurred Condition = "blurred" // most detail is gone, layout and brightness stay
	Moved   Condition = "moved"   // there is detail, but not where it was
)

// All is every condition.
func All() []Condition { return []Condition{Frozen, Black, Covered, Blurred, Moved} }

// Config says what to look for.
type Config struct {
	Watch []Condition
	For   time.Duration // of evidence before a condition is told, and without before it is over
}

// Defaults watch for everything.
func Defaults() Config { return Config{Watch: All(), For: 10 * time.Second} }

// Validate tells what is wrong with c.
func (c Config) Validate() error {
	for _, w := range c.Watch {
		if !slices.Contains(All(), w) {
			return fmt.Errorf("watch: no condition %q", w)
		}
	}
	if c.For <= 0 {
		return fmt.Errorf("for: %v is not above 0", c.For)
	}
	return nil
}
