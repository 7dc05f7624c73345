// Package file reads video files: every container FFmpeg knows, once or in a
// loop, at the speed of the recording or as fast as they are taken.
package file

import (
	"errors"
	"fmt"
	"time"
)

// Pace is how fast packets come.
type Pace string

// Paces.
const (
	Realtime Pace = "realtime" // as a camera would send them
	Fastest  Pace = "fastest"  // as fast as emit takes them
)

// Config says which file to read, and how.
type Config struct {
	Path  string    `yaml:"path"`
	Pace  Pace      `yaml:"pace"`
	Loop  bool      `yaml:"loop"`  // begin again at the end, as a new epoch
	Start time.Time `yaml:"start"` // capture time of the first picture; zero: the container's creation time, else the file's modification time
}

// Defaults is a configuration that lacks only the path.
func Defaults() Config { return Config{Pace: Realtime} }

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: missing"))
	}
	if c.Pace != Realtime && c.Pace != Fastest {
		errs = append(errs, fmt.Errorf("pace: %q is not one of realtime, fastest", c.Pace))
	}
	return errors.Join(errs...)
}
