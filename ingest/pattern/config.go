// Package pattern is a camera that needs no camera: color bars, a box on its way
// across them, and each picture's number and time drawn on top.
package pattern

import (
	"errors"
	"fmt"
)

// Config says what is drawn, and how often.
type Config struct {
	Width  int     `yaml:"width"` // of the picture; both even
	Height int     `yaml:"height"`
	FPS    float64 `yaml:"fps"`
}

// Bounds of what is drawn.
const (
	minSide, maxSide = 16, 8192
	maxFPS           = 240
)

// Defaults is a complete configuration.
func Defaults() Config { return Config{Width: 1280, Height: 720, FPS: 25} }

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	for _, side := range []int{c.Width, c.Height} {
		if side < minSide || side > maxSide || side%2 != 0 {
			errs = append(errs, fmt.Errorf("a side of %d is not even or not in %d to %d", side, minSide, maxSide))
		}
	}
	if !(c.FPS > 0 && c.FPS <= maxFPS) {
		errs = append(errs, fmt.Errorf("fps: %v pictures a second are not above 0 and at most %d", c.FPS, maxFPS))
	}
	return errors.Join(errs...)
}
