// Package images plays the still pictures of a folder, or those that a pattern
// of names matches, as a video with one picture a second or whatever is wanted.
package images

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Pace is how fast packets come.
type Pace string

// Paces.
const (
	Realtime Pace = "realtime" // as a camera would send them
	Fastest  Pace = "fastest"  // as fast as emit takes them
)

// Config says which pictures to play, and how.
type Config struct {
	// Path is a folder, whose pictures are known by their names' ends, or a
	// pattern as filepath.Match has it.
	Path  string        `yaml:"path"`
	Every time.Duration `yaml:"every"` // of the stream's time, from one picture to the next
	Pace  Pace          `yaml:"pace"`
	Loop  bool          `yaml:"loop"`  // begin again at the end, as a new epoch
	Start time.Time     `yaml:"start"` // capture time of the first picture; zero: its modification time
}

// Defaults is a configuration that lacks only the path.
func Defaults() Config { return Config{Every: time.Second, Pace: Realtime} }

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: missing"))
	} else if _, err := filepath.Match(c.Path, ""); err != nil {
		errs = append(errs, fmt.Errorf("path: %q is no pattern: %w", c.Path, err))
	}
	if c.Every <= 0 {
		errs = append(errs, fmt.Errorf("every: %v is not positive", c.Every))
	}
	if c.Pace != Realtime && c.Pace != Fastest {
		errs = append(errs, fmt.Errorf("pace: %q is not one of realtime, fastest", c.Pace))
	}
	return errors.Join(errs...)
}
