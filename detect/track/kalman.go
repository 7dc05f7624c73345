package track

import "sightline/detect"

// Noise that is not Config's: standard deviations, as in SORT and ByteTrack. A
// box's place is observed with placeObserved of its height; the aspect ratio's
// are absolute.
const (
	placeObserved  = 1.0 / 20
	aspectObserved = 1e-1
	aspectPlace    = 1e-2
	aspectSpeed    = 1e-5
)

// axis is a Kalman filter of one coordinate under constant velocity. The filter
// of a box, of eight dimensions in the papers, is four of these: its matrices
// never mix the coordinates.
type axis struct {
	x, v          float64 // place, and change per step
	pxx, pxv, pvv float64 // covariance
}

func newAxis(x, place, speed float64) axis {
	return axis{x: x, pxx: place * place, pvv: speed * speed}
}

// predict moves the axis on by steps; the variance of noise grows in proportion.
func (a *axis) predict(steps, place, speed float64) {
	a.x += steps * a.v
	a.pxx += 2*steps*a.pxv + steps*steps*a.pvv + steps*place*place
	a.pxv += steps * a.pvv
	a.pvv += steps * speed * speed
}

func (a *axis) update(x, noise float64) {
	s := a.pxx + noise*noise
	kx, kv := a.pxx/s, a.pxv/s
	y := x - a.x
	a.x += kx * y
	a.v += kv * y
	a.pvv -= kv * a.pxv
	a.pxv -= kx * a.pxv
	a.pxx -= kx * a.pxx
}

// filter follows a box by its center, aspect ratio and height. All its gains
// are ratios, so it works the same in parts of the picture as in pixels.
type filter struct{ x, y, a, h axis }

func measure(r detect.Rect) (x, y, a, h float64) {
	c := r.Center()
	return c.X, c.Y, r.W / r.H, r.H
}

func newFilter(r detect.Rect) filter {
	x, y, a, h := measure(r)
	place, speed := h/10, h/16
	return filter{newAxis(x, place, speed), newAxis(y, place, speed), newAxis(a, aspectPlace, aspectSpeed), newAxis(h, place, speed)}
}

func (f *filter) predict(steps float64, m Motion) {
	place, speed := m.Place*f.h.x, m.Speed*f.h.x
	f.x.predict(steps, place, speed)
	f.y.predict(steps, place, speed)
	f.a.predict(steps, aspectPlace, aspectSpeed)
	f.h.predict(steps, place, speed)
}

func (f *filter) update(r detect.Rect) {
	x, y, a, h := measure(r)
	noise := placeObserved * f.h.x
	f.x.update(x, noise)
	f.y.update(y, noise)
	f.a.update(a, aspectObserved)
	f.h.update(h, noise)
}

// box is where the filter says the object is.
func (f *filter) box() detect.Rect {
	w := f.a.x * f.h.x
	return detect.Rect{X: f.x.x - w/2, Y: f.y.x - f.h.x/2, W: w, H: f.h.x}
}
