package spec

import (
	"math"

	"sightline/detect"
)

// polygon reports corners that enclose no area, and edges that cross.
func (c *checker) polygon(corners []detect.Point, path string) {
	if len(corners) < 3 {
		return
	}
	if math.Abs(area(corners)) < minArea {
		c.bad(path, "encloses no area: the corners lie on one line, or repeat")
		return
	}
	n := len(corners)
	for i := range n {
		for j := i + 2; j < n; j++ {
			if i == 0 && j == n-1 {
				continue // neighbors share a corner
			}
			if cross(corners[i], corners[i+1], corners[j], corners[(j+1)%n]) {
				c.bad(path, "its edges %d and %d cross: list the corners in the order of the outline", i+1, j+1)
				return
			}
		}
	}
}

// minArea is a third of a pixel of a 1080p picture.
const minArea = 1.0 / (3 * 1920 * 1080)

// area is the signed area of a polygon, by the shoelace formula.
func area(p []detect.Point) float64 {
	sum := 0.0
	for i := range p {
		q := p[(i+1)%len(p)]
		sum += p[i].X*q.Y - q.X*p[i].Y
	}
	return sum / 2
}

// cross tells whether segments ab and cd cross in a point inside both.
func cross(a, b, c, d detect.Point) bool {
	return side(a, b, c)*side(a, b, d) < 0 && side(c, d, a)*side(c, d, b) < 0
}

// side is on which side of the line ab point p lies.
func side(a, b, p detect.Point) float64 {
	return (b.X-a.X)*(p.Y-a.Y) - (b.Y-a.Y)*(p.X-a.X)
}
