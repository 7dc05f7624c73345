package onnx

import "fmt"

// maxSide bounds input sizes, so that products stay small.
const maxSide = 8192

// Shape is the size of a network's input in pixels.
type Shape struct{ Width, Height int }

func (s Shape) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// ParseShape reads "416x320": width, then height, of 1 to 8192 pixels.
func ParseShape(text string) (Shape, error) {
	var s Shape
	var rest string
	n, _ := fmt.Sscanf(text+" ", "%dx%d%s", &s.Width, &s.Height, &rest)
	if n != 2 || s.Width < 1 || s.Height < 1 || s.Width > maxSide || s.Height > maxSide {
		return Shape{}, fmt.Errorf("size %q is not WIDTHxHEIGHT in pixels, such as 416x320", text)
	}
	return s, nil
}

// aspect is the shape for pictures of width × height: the long side is base's
// long side, the other follows the picture and is rounded up to whole steps.
func aspect(base Shape, step, width, height int) Shape {
	long := max(base.Width, base.Height)
	if width < 1 || height < 1 {
		return base
	}
	short := func(a, b int) int {
		side := (long*b + a - 1) / a
		return min(long, max(step, (side+step-1)/step*step))
	}
	if width >= height {
		return Shape{long, short(width, height)}
	}
	return Shape{short(height, width), long}
}

// Fitted is the size at which the network sees pictures of width × height in their
// own aspect.
func (in Input) Fitted(width, height int) Shape {
	if in.Fixed {
		return in.Base
	}
	return aspect(in.Base, in.Step, width, height)
}

// loss is how much of shape other a picture of shape's aspect would leave unused,
// plus how much smaller it is: the measure of the next best shape. 0 is equal.
func (s Shape) loss(other Shape) float64 {
	ratio := min(float64(other.Width)/float64(s.Width), float64(other.Height)/float64(s.Height))
	used := ratio * ratio * float64(s.Width*s.Height) / float64(other.Width*other.Height)
	return 1 - used + max(0, 1-ratio)
}
