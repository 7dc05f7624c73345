package spec

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// FPS is inferences a second and stream; AllFrames is every frame.
type FPS float64

// AllFrames is written `all`.
const AllFrames FPS = 0

const maxFPS = 1000

// UnmarshalText takes a number or `all`.
func (f *FPS) UnmarshalText(text []byte) error {
	if string(text) == "all" {
		*f = AllFrames
		return nil
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v > 0 && v <= maxFPS) {
		return fmt.Errorf("want a number of frames a second above 0 and up to %d, or `all`", maxFPS)
	}
	*f = FPS(v)
	return nil
}

// MarshalText writes what UnmarshalText takes.
func (f FPS) MarshalText() ([]byte, error) {
	if f == AllFrames {
		return []byte("all"), nil
	}
	return strconv.AppendFloat(nil, float64(f), 'g', -1, 64), nil
}

// Input is the size a network sees. Width and Height are set for a fixed one.
type Input struct {
	Policy        string // InputAspect, InputModel or InputFixed
	Width, Height int
}

// Policies of Input.
const (
	InputAspect = "aspect" // the model's area in the picture's own shape
	InputModel  = "model"  // what the model was trained on
	InputFixed  = "fixed"  // written WIDTHxHEIGHT
)

// UnmarshalText takes `aspect`, `model` or WIDTHxHEIGHT.
func (i *Input) UnmarshalText(text []byte) error {
	if s := string(text); s == InputAspect || s == InputModel {
		*i = Input{Policy: s}
		return nil
	}
	width, height, ok := strings.Cut(string(text), "x")
	w, errW := strconv.Atoi(width)
	h, errH := strconv.Atoi(height)
	if !ok || errW != nil || errH != nil {
		return errors.New("want `aspect`, `model` or WIDTHxHEIGHT")
	}
	if min(w, h) < 32 || max(w, h) > 8192 {
		return errors.New("want a width and height between 32 and 8192")
	}
	*i = Input{InputFixed, w, h}
	return nil
}

// MarshalText writes what UnmarshalText takes.
func (i Input) MarshalText() ([]byte, error) {
	if i.Policy == InputFixed {
		return fmt.Appendf(nil, "%dx%d", i.Width, i.Height), nil
	}
	return []byte(i.Policy), nil
}

// Size is a number of bytes.
type Size int64

// sizeUnits from the largest, so that MarshalText finds the shortest form.
func sizeUnits() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	}
}

// UnmarshalText takes a number with a unit: `64MiB`, `1.5GB`, `4096B`.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits() {
		number, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		bytes := v * float64(u.bytes)
		if err != nil || !(bytes >= 1 && bytes < math.MaxInt64) {
			break
		}
		*s = Size(bytes)
		return nil
	}
	return errors.New("want a size above 0 with its unit, such as 64MiB (KiB, MiB, GiB, TiB; kB, MB, GB, TB; B)")
}

// MarshalText writes the shortest whole number with a unit, and nothing of 0, which is
// a size that was left out.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits() {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.name), nil
		}
	}
	return nil, nil
}
