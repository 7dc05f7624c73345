// Package snapshot makes JPEGs of the objects that events are about and keeps
// them: in a folder, and in a bucket that speaks the S3 protocol besides. What it
// is told to blur is unrecognizable before a JPEG exists. Everything here is
// called synchronously; who calls it when is pipelines' to say.
package snapshot

import (
	"errors"
	"fmt"
	"time"
)

// Config says what pictures look like and how many are kept.
type Config struct {
	Path    string        // folder
	Quality int           // of the JPEGs, 1..100
	Margin  float64       // around an object's box, in parts of its sides
	Blur    []string      // classes that are made unrecognizable
	Max     int64         // bytes in the folder
	MaxAge  time.Duration // since a picture was written
	S3      *S3           // nil: pictures stay in the folder
}

// Defaults is a Config that lacks the path.
func Defaults() Config {
	return Config{Quality: 85, Margin: 0.1, Max: 10 << 30, MaxAge: 30 * 24 * time.Hour}
}

// Validate tells what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: want a folder"))
	}
	if c.Quality < 1 || c.Quality > 100 {
		errs = append(errs, fmt.Errorf("quality: %d is not between 1 and 100", c.Quality))
	}
	if !(c.Margin >= 0 && c.Margin <= 1) {
		errs = append(errs, fmt.Errorf("margin: %g is not between 0 and 1", c.Margin))
	}
	if c.Max <= 0 || c.MaxAge <= 0 {
		errs = append(errs, errors.New("max and max_age: want more than nothing"))
	}
	if c.S3 != nil {
		errs = append(errs, c.S3.validate())
	}
	return errors.Join(errs...)
}
