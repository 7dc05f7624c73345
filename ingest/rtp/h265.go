package rtp

import (
	"github.com/pion/rtp"

	"sightline/ingest"
)

// H.265 NAL unit types (ITU-T H.265, table 7-1) and RTP packet types (RFC 7798, 4.4).
const (
	h265LastSlice = 31
	h265VPS       = 32
	h265SPS       = 33
	h265PPS       = 34
	h265AUD       = 35
	h265Aggregate = 48
	h265Fragment  = 49
)

// h265Unpacker unpacks RFC 7798 without decoding order numbers.
type h265Unpacker struct{ sets ingest.ParameterSets }

func newH265(params [][]byte) *h265Unpacker {
	u := &h265Unpacker{sets: ingest.ParameterSets{Codec: ingest.H265}}
	for _, nal := range params {
		u.sets.Add(nal)
	}
	return u
}

func h265Type(nal []byte) byte { return nal[0] >> 1 & 0x3f }

func (u *h265Unpacker) unpack(packets []*rtp.Packet, headless bool) (Unit, error) {
	out := newAnnexB(packets)
	for _, p := range packets {
		if err := h265Payload(out, p.Payload); err != nil {
			return Unit{}, err
		}
	}
	if out.open {
		return Unit{}, errFragment
	}
	first := u.look(out.data)
	switch {
	case !first.slice:
		return Unit{}, errEmpty
	case headless && !first.fromTop:
		return Unit{}, errHead
	}
	keyframe, disposable := u.sets.Inspect(out.data)
	keyframe = keyframe && u.sets.Whole()
	return Unit{Data: out.finish(&u.sets, keyframe), Keyframe: keyframe, Disposable: disposable}, nil
}

// look remembers the parameter sets of an access unit and tells how it begins.
func (u *h265Unpacker) look(au []byte) (h head) {
	for nal := range ingest.NALs(au) {
		if len(nal) < 3 {
			continue
		}
		switch kind := h265Type(nal); {
		case kind >= h265VPS && kind <= h265PPS:
			u.sets.Add(nal)
		case kind <= h265LastSlice:
			h.slice, h.fromTop = true, nal[2]&0x80 != 0
			return h
		}
	}
	return h
}

// h265Payload appends the NAL units of one RTP payload, without access unit
// delimiters.
func h265Payload(out *annexB, payload []byte) error {
	switch {
	case len(payload) == 0:
		return nil // padding only
	case len(payload) < 3:
		return errTruncated
	}
	switch kind := h265Type(payload); kind {
	case h265Aggregate:
		return out.aggregate(payload[2:])
	case h265Fragment:
		header := []byte{payload[0]&0x81 | payload[2]&0x3f<<1, payload[1]}
		return out.fragment(payload[2]&0x80 != 0, payload[2]&0x40 != 0, header, payload[3:])
	case h265AUD:
		return nil
	default:
		if kind > h265Aggregate {
			return errType
		}
		return out.add(payload)
	}
}
