package rtp

import (
	"github.com/pion/rtp"

	"sightline/ingest"
)

// H.264 NAL unit types (ITU-T H.264, table 7-1) and RTP packet types (RFC 6184, 5.2).
const (
	h264Slice    = 1
	h264IDR      = 5
	h264SPS      = 7
	h264PPS      = 8
	h264AUD      = 9
	h264STAPA    = 24
	h264FUA      = 28
	h264NALTypes = 0x1f
)

// h264Unpacker unpacks RFC 6184, packetization modes 0 and 1.
type h264Unpacker struct{ sets ingest.ParameterSets }

func newH264(params [][]byte) *h264Unpacker {
	u := &h264Unpacker{sets: ingest.ParameterSets{Codec: ingest.H264}}
	for _, nal := range params {
		u.sets.Add(nal)
	}
	return u
}

func (u *h264Unpacker) unpack(packets []*rtp.Packet, headless bool) (Unit, error) {
	out := newAnnexB(packets)
	for _, p := range packets {
		if err := h264Payload(out, p.Payload); err != nil {
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
	keyframe, disposable := ingest.InspectH264(out.data)
	keyframe = keyframe && u.sets.Whole()
	return Unit{Data: out.finish(&u.sets, keyframe), Keyframe: keyframe, Disposable: disposable}, nil
}

// look remembers the parameter sets of an access unit and tells how it begins.
func (u *h264Unpacker) look(au []byte) head {
	var h head
	for nal := range ingest.NALs(au) {
		switch kind := nal[0] & h264NALTypes; {
		case kind == h264SPS || kind == h264PPS:
			u.sets.Add(nal)
		case kind >= h264Slice && kind <= h264IDR:
			// The first number of a slice header is its first macroblock.
			h.slice, h.fromTop = true, len(nal) > 1 && nal[1]&0x80 != 0
			return h
		}
	}
	return h
}

// h264Payload appends the NAL units of one RTP payload. Access unit delimiters
// are left out, so that parameter sets can stand in front.
func h264Payload(out *annexB, payload []byte) error {
	if len(payload) == 0 {
		return nil // padding only
	}
	switch kind := payload[0] & h264NALTypes; kind {
	case h264STAPA:
		return out.aggregate(payload[1:])
	case h264FUA:
		if len(payload) < 2 {
			return errTruncated
		}
		header := []byte{payload[0]&0xe0 | payload[1]&h264NALTypes}
		return out.fragment(payload[1]&0x80 != 0, payload[1]&0x40 != 0, header, payload[2:])
	case h264AUD:
		return nil
	default:
		if kind > h264STAPA {
			return errType
		}
		return out.add(payload)
	}
}
