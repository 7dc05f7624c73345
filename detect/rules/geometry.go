package rules

import (
	"math"

	"sightline/detect"
)

// side is twice the signed area of (a, b, p): positive where p is to the right
// of the arrow from a to b as seen on the picture (y points down).
func side(a, b, p detect.Point) float64 {
	return (b.X-a.X)*(p.Y-a.Y) - (b.Y-a.Y)*(p.X-a.X)
}

// distance is from p to the segment a, b.
func distance(a, b, p detect.Point) float64 {
	dx, dy := b.X-a.X, b.Y-a.Y
	t := 0.0
	if l := dx*dx + dy*dy; l > 0 {
		t = min(max(((p.X-a.X)*dx+(p.Y-a.Y)*dy)/l, 0), 1)
	}
	return math.Hypot(p.X-a.X-t*dx, p.Y-a.Y-t*dy)
}

// within reports whether p, a point on the line through a and b, lies between
// them, ends included.
func within(a, b, p detect.Point) bool {
	dx, dy := b.X-a.X, b.Y-a.Y
	t := (p.X-a.X)*dx + (p.Y-a.Y)*dy
	return t >= 0 && t <= dx*dx+dy*dy
}

// contains reports whether p is inside the polygon or on its border.
func contains(polygon []detect.Point, p detect.Point) bool {
	in := false
	for i, b := range polygon {
		a := polygon[(i+len(polygon)-1)%len(polygon)]
		if side(a, b, p) == 0 && within(a, b, p) {
			return true
		}
		if (a.Y > p.Y) != (b.Y > p.Y) && p.X < a.X+(p.Y-a.Y)/(b.Y-a.Y)*(b.X-a.X) {
			in = !in
		}
	}
	return in
}

// outsideBy is how far p is from the polygon's border.
func outsideBy(polygon []detect.Point, p detect.Point) float64 {
	d := math.Inf(1)
	for i, b := range polygon {
		d = min(d, distance(polygon[(i+len(polygon)-1)%len(polygon)], b, p))
	}
	return d
}

// flat reports whether all points lie on one line.
func flat(polygon []detect.Point) bool {
	for i := range polygon {
		for j := range i {
			for k := range j {
				if side(polygon[i], polygon[j], polygon[k]) != 0 {
					return false
				}
			}
		}
	}
	return true
}
