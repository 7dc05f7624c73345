package decode

import (
	"bytes"

	"sightline/ingest"
)

// start says how decoding can begin at a packet.
type start struct {
	kind startKind
	// refresh: the picture is whole this many pictures later (H.264: pictures that
	// others refer to; H.265: steps of the picture order count).
	count int
	// broken: pictures shown before it refer to some that were never there.
	broken bool
}

type startKind uint8

const (
	nowhere startKind = iota
	closed            // nothing decoded after it refers to anything before it
	open              // pictures shown before it may
	refresh           // the picture becomes whole bit by bit
)

const (
	h264SliceFirst, h264IDR, h264SEI, h264SPS                        = 1, 5, 6, 7
	h265RADLFirst, h265RADLLast, h265IRAPFirst, h265CRA, h265SliceMx = 6, 7, 16, 21, 31
	h265PrefixSEI                                                    = 39
	seiRecoveryPoint                                                 = 6
)

// startOf reads what a packet says about itself; where that is nothing, its
// source is believed.
func startOf(p ingest.Packet) start {
	var s start
	switch p.Codec {
	case ingest.H264:
		s = h264Start(p.Data)
	case ingest.H265:
		s = h265Start(p.Data)
	case ingest.MJPEG, ingest.VP8, ingest.VP9, ingest.AV1:
		if p.Keyframe {
			s.kind = closed
		}
	}
	if s.kind == nowhere && p.Keyframe {
		s.kind = open
	}
	return s
}

// h264Start looks for an IDR picture or a recovery point in front of the first slice.
func h264Start(au []byte) (s start) {
	for unit := range ingest.NALs(au) {
		switch kind := unit[0] & 0x1f; {
		case kind == h264IDR:
			return start{kind: closed}
		case kind == h264SEI:
			if r, ok := recoveryPoint(unit[1:], false); ok {
				s = r
			}
		case kind >= h264SliceFirst && kind < h264IDR:
			if s.kind == refresh && unit[0]&0x60 == 0 {
				s.count++ // the next picture that others refer to has the same frame_num
			}
			return s
		}
	}
	return start{}
}

// h265Start looks for an intra random access point or a recovery point in front of
// the first slice.
func h265Start(au []byte) (s start) {
	for unit := range ingest.NALs(au) {
		switch kind := unit[0] >> 1 & 0x3f; {
		case kind == h265CRA:
			return start{kind: open}
		case kind >= h265IRAPFirst && kind < h265SliceMx:
			return start{kind: closed} // FFmpeg leaves out what a broken link has in front
		case kind == h265PrefixSEI && len(unit) > 2:
			if r, ok := recoveryPoint(unit[2:], true); ok {
				s = r
			}
		case kind <= h265SliceMx:
			return s
		}
	}
	return start{}
}

// decodable tells whether a packet is an H.265 leading picture that refers only to
// its random access point and to others such.
func decodable(p ingest.Packet) bool {
	if p.Codec != ingest.H265 {
		return false
	}
	for unit := range ingest.NALs(p.Data) {
		if kind := unit[0] >> 1 & 0x3f; kind <= h265SliceMx {
			return kind == h265RADLFirst || kind == h265RADLLast
		}
	}
	return false
}

// maxSEI is how much of a message is read, in bytes.
const maxSEI = 1024

// recoveryPoint reads a recovery point message (ITU-T H.264 D.1.8 and D.2.8, H.265
// D.2.8) out of an SEI payload. One that is only about right does not count:
// pictures would never be known to be whole.
func recoveryPoint(b []byte, h265 bool) (s start, ok bool) {
	b = bytes.ReplaceAll(b[:min(len(b), maxSEI)], []byte{0, 0, 3}, []byte{0, 0})
	number := func() (n int) {
		for len(b) > 0 && b[0] == 0xff {
			n, b = n+255, b[1:]
		}
		if len(b) > 0 {
			n, b = n+int(b[0]), b[1:]
		}
		return n
	}
	for len(b) > 2 {
		kind, size := number(), number()
		if size > len(b) {
			break
		}
		payload := b[:size]
		if b = b[size:]; kind != seiRecoveryPoint {
			continue
		}
		r := bitReader{b: payload}
		count := r.golomb()
		if h265 {
			count = signed(count)
		}
		exact, broken := r.bit(), r.bit()
		switch {
		case exact == 0 || r.at > 8*len(payload):
			return start{}, false
		case count <= 0:
			return start{kind: open, broken: broken == 1}, true
		}
		return start{kind: refresh, count: count}, true
	}
	return start{}, false
}

// signed maps an Exp-Golomb number to a signed one (ITU-T H.264, 9.1.1).
func signed(n int) int {
	if n&1 == 1 {
		return (n + 1) / 2
	}
	return -n / 2
}

// bitReader reads bits, and zeros past the end.
type bitReader struct {
	b  []byte
	at int
}

func (r *bitReader) bit() int {
	at := r.at
	r.at++
	if at >= 8*len(r.b) {
		return 0
	}
	return int(r.b[at/8]>>(7-at%8)) & 1
}

// golomb reads an unsigned Exp-Golomb number (ITU-T H.264, 9.1).
func (r *bitReader) golomb() int {
	zeros := 0
	for r.bit() == 0 && zeros < 31 {
		zeros++
	}
	n := 1
	for range zeros {
		n = n<<1 | r.bit()
	}
	return n - 1
}
