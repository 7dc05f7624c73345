package ingest

import (
	"bytes"
	"encoding/binary"
)

// ParameterSets remembers the latest parameter sets of one H.264 or H.265 stream,
// by type and id, and puts them in front of keyframes that lack them. It is used
// by one goroutine at a time.
type ParameterSets struct {
	Codec Codec // H264 or H265
	units [][]byte
}

// maxParameterSets bounds what a hostile stream can make us remember.
const maxParameterSets = 64

// Add remembers a copy of one parameter set, given as a NAL unit without start
// code, in place of the one with its type and id. Other units are ignored. Zero
// bytes behind it are none of its own, and one with a start code inside, as a
// hostile session description may hold, is several.
func (s *ParameterSets) Add(unit []byte) {
	unit = bytes.TrimRight(unit, "\x00")
	if !s.isSet(unit) || bytes.Contains(unit, []byte{0, 0, 1}) {
		return
	}
	for i, old := range s.units {
		if bytes.Equal(old, unit) {
			return // not lost: it is there
		}
		if s.kind(old[0]) == s.kind(unit[0]) && s.id(old) == s.id(unit) {
			s.units[i] = bytes.Clone(unit)
			return // not lost: it takes the old one's place
		}
	}
	if len(s.units) == maxParameterSets {
		s.units = s.units[1:] // not lost: parameter sets, of which no stream uses that many
	}
	s.units = append(s.units, bytes.Clone(unit))
}

// Inspect does InspectH264's or InspectH265's work on an access unit whose sets
// are remembered, and knows of H.265's temporal layers: only in the highest that
// a sequence parameter set announces is a picture without references in its layer
// without any.
func (s *ParameterSets) Inspect(au []byte) (keyframe, disposable bool) {
	if s.Codec != H265 {
		return InspectH264(au)
	}
	keyframe, disposable = InspectH265(au)
	return keyframe, disposable && s.layerOf(au) >= s.topLayer()
}

// topLayer is the highest temporal layer announced.
func (s *ParameterSets) topLayer() (top byte) {
	for _, unit := range s.units {
		if s.kind(unit[0]) == h265SPS {
			top = max(top, unit[2]>>1&7)
		}
	}
	return top
}

// layerOf is the temporal layer of an access unit's first slice.
func (s *ParameterSets) layerOf(au []byte) byte {
	for at := range starts(au) {
		if s.isSlice(s.kind(au[at])) && at+1 < len(au) {
			return au[at+1]&7 - 1
		}
	}
	return 0
}

// Whole tells whether a set of each type is known, so that decoding can start.
func (s *ParameterSets) Whole() bool {
	var known uint64
	for _, unit := range s.units {
		known |= 1 << s.kind(unit[0])
	}
	return known == 1<<(s.sequence()+2)-1<<s.first()
}

// Complete remembers the sets inside an Annex B access unit and returns the unit
// as it should be sent on: a keyframe that does not bring a set of each type known
// gets all known ones in front, in a new slice with PacketPadding; anything else is
// returned as it is. Sets that were sent once stay known beside newer ones.
func (s *ParameterSets) Complete(au []byte, keyframe bool) []byte {
	var own uint64 // bit n: the unit brings a set of type n
	for at := range starts(au) {
		kind := s.kind(au[at])
		if s.isSlice(kind) {
			break
		}
		if unit := unitAt(au, at); s.isSet(unit) {
			s.Add(unit)
			own |= 1 << kind
		}
	}
	lacks, size := false, len(au)
	for _, unit := range s.units {
		lacks = lacks || own>>s.kind(unit[0])&1 == 0
		size += 4 + len(unit)
	}
	if !keyframe || !lacks {
		return au
	}
	out := make([]byte, 0, size+PacketPadding)
	for kind := s.first(); kind <= s.sequence()+1; kind++ {
		for _, unit := range s.units {
			if s.kind(unit[0]) == kind {
				out = append(append(out, 0, 0, 0, 1), unit...)
			}
		}
	}
	return append(out, au...)
}

func (s *ParameterSets) kind(header byte) byte {
	if s.Codec == H265 {
		return header >> 1 & 0x3f
	}
	return header & 0x1f
}

// id is what other units call a parameter set by (ITU-T H.264 7.3.2.1.1 and
// 7.3.2.2, H.265 7.3.2.1 to 7.3.2.3).
func (s *ParameterSets) id(unit []byte) uint {
	isSequence := s.kind(unit[0]) == s.sequence()
	switch {
	case s.Codec == H265 && isSequence:
		return h265SequenceID(unit)
	case s.Codec == H265 && s.kind(unit[0]) == h265VPS:
		return uint(unit[2] >> 4)
	case s.Codec == H265:
		return golomb(unit[2:])
	case isSequence:
		return golomb(unit[min(4, len(unit)):])
	}
	return golomb(unit[1:])
}

// h265SequenceID reads past the profile and level of the stream and of its
// temporal layers, which are whole bytes.
func h265SequenceID(unit []byte) uint {
	b := bytes.ReplaceAll(unit, []byte{0, 0, 3}, []byte{0, 0})
	at := 15
	if layers := int(b[2] >> 1 & 7); layers > 0 && len(b) > 17 {
		has := binary.BigEndian.Uint16(b[at:])
		at += 2
		for i := range layers {
			at += int(has >> (15 - 2*i) & 1 * 11)
			at += int(has >> (14 - 2*i) & 1)
		}
	}
	return golomb(b[min(at, len(b)):])
}

// golomb reads the unsigned Exp-Golomb number that data begins with (ITU-T
// H.264, 9.1). Ids are small, so that emulation bytes cannot come before them in
// valid streams; past the end of data it reads ones.
func golomb(data []byte) uint {
	bit := 0
	next := func() uint {
		if bit >= 8*len(data) {
			return 1
		}
		v := uint(data[bit/8]>>(7-bit%8)) & 1
		bit++
		return v
	}
	zeros := 0
	for next() == 0 && zeros < 31 {
		zeros++
	}
	value := uint(1)
	for range zeros {
		value = value<<1 | next()
	}
	return value - 1
}

func (s *ParameterSets) isSet(unit []byte) bool {
	if len(unit) < 3 {
		return false
	}
	kind := s.kind(unit[0])
	return kind >= s.first() && kind <= s.sequence()+1
}

func (s *ParameterSets) isSlice(kind byte) bool {
	if s.Codec == H265 {
		return kind <= h265IRAPLast
	}
	return kind >= h264SliceFirst && kind <= h264IDR
}

func (s *ParameterSets) first() byte {
	if s.Codec == H265 {
		return h265VPS
	}
	return h264SPS
}

// sequence is the type of sequence parameter sets; picture parameter sets follow it.
func (s *ParameterSets) sequence() byte {
	if s.Codec == H265 {
		return h265SPS
	}
	return h264SPS
}
