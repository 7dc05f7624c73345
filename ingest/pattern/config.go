// Package pattern is a camera that needs no camera: color bars, a box on its way
// across them, and each picture's number and time drawn on top.
package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// Parse reads WIDTHxHEIGHT@FPS, of which each part may be absent: 640x360, @10,
// or nothing at all.
func Parse(text string) (Config, error) {
	c := Defaults()
	size, rate, hasRate := strings.Cut(text, "@")
	errs := make([]error, 3)
	if size != "" {
		width, height, ok := strings.Cut(size, "x")
		if !ok {
			return Config{}, fmt.Errorf("pattern: %q is no WIDTHxHEIGHT", size)
		}
		c.Width, errs[0] = strconv.Atoi(width)
		c.Height, errs[1] = strconv.Atoi(height)
	}
	if hasRate {
		c.FPS, errs[2] = strconv.ParseFloat(rate, 64)
	}
	if errors.Join(errs...) != nil {
		return Config{}, fmt.Errorf("pattern: %q is not as 1280x720@25", text)
	}
	return c, c.Validate()
}

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	for _, side := range []int{c.Width, c.Height} {
		if side < minSide || side > maxSide || side%2 != 0 {
			errs = append(errs, fmt.Errorf("pattern: a side of %d is not even or not in %d to %d", side, minSide, maxSide))
		}
	}
	if !(c.FPS > 0 && c.FPS <= maxFPS) {
		errs = append(errs, fmt.Errorf("pattern: %v pictures a second are not above 0 and at most %d", c.FPS, maxFPS))
	}
	return errors.Join(errs...)
}
