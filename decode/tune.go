package decode

import "sightline/internal/libav"

// FilterSkip is which pictures are decoded without the codec's loop filter, which
// is faster and rougher.
type FilterSkip uint8

// Levels. Pictures that nothing refers to keep their roughness to themselves;
// the others hand it on, and pictures drift until the next keyframe.
const (
	FilterSkipNone   FilterSkip = iota
	FilterSkipNonref            // only pictures that no other refers to
	FilterSkipAll
)

// Tuner is a Decoder whose work can be made lighter while it runs, by the
// goroutine that decodes. Decoders that New returns are Tuners.
type Tuner interface {
	// SetFilterSkip takes effect with the next packet. H.264, H.265 and VP8 know
	// it; the others do not change. Leaving FilterSkipAll, pictures drift on until
	// the next keyframe.
	SetFilterSkip(FilterSkip)
	// SetKeyframesOnly says that from the next packet on only keyframes will be
	// given to Decode, and all others to Skip: each comes out at once, instead of
	// waiting for pictures that will never come. (Its Index cannot count pictures
	// that come after it and are shown before it, as open groups of pictures have
	// them.) After it was switched off, Decode answers ErrNoKeyframe or gives
	// damaged pictures until the next keyframe.
	SetKeyframesOnly(bool)
}

// SetFilterSkip implements Tuner.
func (d *decoder) SetFilterSkip(f FilterSkip) {
	d.filter = f
	if d.av != nil {
		d.av.SetSkipFilter(f.native())
	}
}

// SetKeyframesOnly implements Tuner.
func (d *decoder) SetKeyframesOnly(only bool) { d.keysOnly = only }

func (f FilterSkip) native() libav.SkipFilter {
	switch f {
	case FilterSkipNonref:
		return libav.SkipFilterNonref
	case FilterSkipAll:
		return libav.SkipFilterAll
	}
	return libav.SkipFilterNone
}
