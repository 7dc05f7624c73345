package ingest

import (
	"bytes"
	"iter"
)

// NAL unit types that matter here (ITU-T H.264 table 7-1, H.265 table 7-1).
const (
	h264SliceFirst = 1
	h264IDR        = 5
	h264SEI        = 6
	h264SPS        = 7

	h265SubLayerMx = 15 // below it, even: pictures no other of their temporal layer refers to
	h265IRAPFirst  = 16
	h265IRAPLast   = 23
	h265VPS        = 32
	h265SPS        = 33
)

// NALs yields the NAL units of an access unit in Annex B form, without start
// codes. The units alias au.
func NALs(au []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for at := range starts(au) {
			if unit := unitAt(au, at); len(unit) > 0 && !yield(unit) {
				return
			}
		}
	}
}

// starts yields the offset of each NAL unit's first byte. It looks for a start
// code only when asked for the next one, so that who stops at the first slice
// does not read the picture's bulk.
func starts(au []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := 0; ; {
			i := bytes.Index(au[at:], []byte{0, 0, 1})
			if i < 0 || at+i+3 >= len(au) {
				return
			}
			at += i + 3
			if !yield(at) {
				return
			}
		}
	}
}

// unitAt cuts out the NAL unit that begins at offset at.
func unitAt(au []byte, at int) []byte {
	end := len(au)
	if i := bytes.Index(au[at:], []byte{0, 0, 1}); i >= 0 {
		end = at + i
	}
	return bytes.TrimRight(au[at:end], "\x00")
}

// InspectH264 tells whether decoding can start at an Annex B access unit (an IDR
// picture, or a recovery point that is exact at once) and whether no other
// picture refers to it (nal_ref_idc 0, ITU-T H.264 7.4.1). The first slice
// decides: the others of a picture agree with it.
func InspectH264(au []byte) (keyframe, disposable bool) {
	for at := range starts(au) {
		switch kind := au[at] & 0x1f; {
		case kind == h264IDR:
			return true, false
		case kind == h264SEI:
			keyframe = keyframe || recoversAtOnce(unitAt(au, at)[1:])
		case kind >= h264SliceFirst && kind < h264IDR:
			return keyframe, !keyframe && au[at]&0x60 == 0
		}
	}
	return false, false
}

// recoversAtOnce looks for a recovery point message with recovery_frame_cnt 0
// (ITU-T H.264 D.1.8) in an SEI payload.
func recoversAtOnce(b []byte) bool {
	for len(b) > 2 {
		kind, size := 0, 0
		for len(b) > 0 && b[0] == 0xff {
			kind, b = kind+255, b[1:]
		}
		if len(b) == 0 {
			return false
		}
		kind, b = kind+int(b[0]), b[1:]
		for len(b) > 0 && b[0] == 0xff {
			size, b = size+255, b[1:]
		}
		if len(b) == 0 {
			return false
		}
		size, b = size+int(b[0]), b[1:]
		if kind == 6 && size > 0 && len(b) > 0 {
			return b[0]&0x80 != 0 // ue(v) 0 is the single bit 1
		}
		if size >= len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}

// InspectH265 tells whether decoding can start at an Annex B access unit (an
// intra random access point) and whether no other picture refers to it: a
// sub-layer non-reference picture (ITU-T H.265 7.4.2.2; in a stream with several
// temporal layers a higher one may still refer to it, which cameras do not do).
func InspectH265(au []byte) (keyframe, disposable bool) {
	for at := range starts(au) {
		switch kind := au[at] >> 1 & 0x3f; {
		case kind >= h265IRAPFirst && kind <= h265IRAPLast:
			return true, false
		case kind < h265SubLayerMx:
			return false, kind%2 == 0
		}
	}
	return false, false
}
