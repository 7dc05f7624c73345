// Package detect turns frames into labeled events: what is seen (detect/onnx),
// who it is (detect/track) and what it means (detect/rules). This package holds
// the types that pass between them and the Event that leaves the stage.
package detect

// Point is a place in the picture: 0..1 of its width and height, y downwards.
type Point struct{ X, Y float64 }

// Rect is a box in the picture: X, Y is the top left corner, all 0..1 of the
// picture as decoded. It is not clipped to the picture.
type Rect struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
	W float64 `json:"w"`
	H float64 `json:"h"`
}

// IoU is the intersection over union of two boxes, 0 when either is empty.
func (r Rect) IoU(o Rect) float64 {
	w := min(r.X+r.W, o.X+o.W) - max(r.X, o.X)
	h := min(r.Y+r.H, o.Y+o.H) - max(r.Y, o.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	inter := w * h
	return inter / (r.W*r.H + o.W*o.H - inter)
}

// Center is the middle of the box.
func (r Rect) Center() Point { return Point{r.X + r.W/2, r.Y + r.H/2} }

// Bottom is the middle of the lower edge: where a standing object meets the ground.
func (r Rect) Bottom() Point { return Point{r.X + r.W/2, r.Y + r.H} }

// Top is the middle of the upper edge.
func (r Rect) Top() Point { return Point{r.X + r.W/2, r.Y} }

// Detection is one box a network found, after non-maximum suppression.
type Detection struct {
	Class string
	Score float64 // 0..1
	Box   Rect
}
