package kernels

/*
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// maxSide bounds the sides of pictures and slots, so that products fit an int32.
const maxSide = 1 << 14

// Preprocess fills slots of one description. It keeps tables for the geometry of
// the last picture, so it is made once for each stream and used by one goroutine
// at a time. Close frees it.
type Preprocess struct {
	slot   Slot
	plan   *C.sl_plan
	target C.va_slot // here, so that Run allocates nothing
	source C.va_picture
}

// NewPreprocess validates slot and returns its Preprocess.
func NewPreprocess(slot Slot) (*Preprocess, error) { return newPreprocess(slot, bestLevel()) }

// NewReference is NewPreprocess by the definition, the bits of which a GPU gives as
// well: some thirty times slower than the vectorized code, which stays within a level.
func NewReference(slot Slot) (*Preprocess, error) { return newPreprocess(slot, 0) }

func newPreprocess(slot Slot, l level) (*Preprocess, error) {
	slot = slot.normal()
	if err := slot.validate(); err != nil {
		return nil, fmt.Errorf("describing a network input: %w", err)
	}
	plan := C.sl_plan_new(C.int(l))
	if plan == nil {
		return nil, errors.New("preparing a network input: out of memory")
	}
	return &Preprocess{slot: slot, plan: plan}, nil
}

// Close frees the native tables. Run fails afterwards; a second Close does nothing.
func (p *Preprocess) Close() {
	C.sl_plan_free(p.plan)
	p.plan = nil
}

// Run writes picture into the Slot.Size() bytes at dst, padding included, and
// returns where it went. dst needs no alignment beyond its values' own. After the
// first picture of a geometry it allocates nothing. P010 is filled by the definition
// (see NewReference), as no decoder of the CPU path hands it out.
func (p *Preprocess) Run(dst unsafe.Pointer, picture *Picture) (Letterbox, error) {
	if p.plan == nil || dst == nil {
		return Letterbox{}, errors.New("filling a network input: closed, or no destination")
	}
	if err := picture.validate(); err != nil {
		return Letterbox{}, fmt.Errorf("filling a network input: %w", err)
	}
	p.target = p.slot.place(picture.Width, picture.Height)
	target, source := &p.target, &p.source
	*source = picture.native()
	y, u, v := picture.planes()
	if C.sl_preprocess(p.plan, target, y, u, v, source, dst) == 0 {
		return Letterbox{}, errors.New("filling a network input: out of memory")
	}
	return letterbox(target, picture), nil
}

func letterbox(target *C.va_slot, picture *Picture) Letterbox {
	return Letterbox{
		ScaleX: float32(target.w) / float32(picture.Width), ScaleY: float32(target.h) / float32(picture.Height),
		PadX: float32(target.x), PadY: float32(target.y),
	}
}

// normal is the slot with the identity written out.
func (s Slot) normal() Slot {
	if s.Mean == [3]float32{} && s.Scale == [3]float32{} {
		s.Scale = [3]float32{1, 1, 1}
	}
	return s
}

// place puts a picture of w × h into the slot, on whole slot pixels.
func (s *Slot) place(w, h int) C.va_slot {
	rw, rh, x, y := s.Width, s.Height, 0, 0
	if s.Fit != Stretch {
		ratio := min(float64(s.Width)/float64(w), float64(s.Height)/float64(h))
		rw = max(1, min(s.Width, int(math.Round(float64(w)*ratio))))
		rh = max(1, min(s.Height, int(math.Round(float64(h)*ratio))))
	}
	if s.Fit == LetterboxCenter {
		x, y = (s.Width-rw)/2, (s.Height-rh)/2
	}
	target := C.va_slot{
		width: C.int(s.Width), height: C.int(s.Height), x: C.int(x), y: C.int(y), w: C.int(rw), h: C.int(rh),
		ratio_x: C.float(float32(w) / float32(rw)), ratio_y: C.float(float32(h) / float32(rh)),
		channels_first: flag(s.Layout == NCHW), _type: C.int(s.Type), rgb: flag(s.Order == RGB), pad: C.int(s.Pad),
	}
	for c := range 3 {
		target.mean[c], target.scale[c] = C.float(s.Mean[c]), C.float(s.Scale[c])
	}
	return target
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func (s *Slot) validate() error {
	switch {
	case s.Width < 1 || s.Height < 1 || s.Width > maxSide || s.Height > maxSide:
		return fmt.Errorf("size %d×%d is not within 1×1 and %d×%d", s.Width, s.Height, maxSide, maxSide)
	case s.Layout != NHWC && s.Layout != NCHW:
		return fmt.Errorf("unknown layout %d", s.Layout)
	case s.Type != U8 && s.Type != F16 && s.Type != F32:
		return fmt.Errorf("unknown type %d", s.Type)
	case s.Order != BGR && s.Order != RGB:
		return fmt.Errorf("unknown channel order %d", s.Order)
	case s.Fit < LetterboxCenter || s.Fit > Stretch:
		return fmt.Errorf("unknown fit %d", s.Fit)
	case s.Type == U8 && (s.Mean != [3]float32{} || s.Scale != [3]float32{1, 1, 1}):
		return errors.New("mean and scale need a floating-point type")
	}
	return nil
}
