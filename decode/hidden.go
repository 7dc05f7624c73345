package decode

import "sightline/ingest"

// hidden tells whether a packet holds a picture that is never shown, only
// referred to (the alternate reference of VP8, RFC 6386 9.1, and of VP9 outside
// a superframe, its bitstream specification 6.2), so that it is not counted.
func hidden(p ingest.Packet) bool {
	if len(p.Data) == 0 {
		return false
	}
	b := p.Data[0]
	switch p.Codec {
	case ingest.VP8:
		return b&0x10 == 0
	case ingest.VP9:
		if p.Data[len(p.Data)-1]&0xe0 == 0xc0 { // a superframe shows one of its pictures
			return false
		}
		profile := b>>5&1 | b>>3&2
		if profile == 3 {
			return b&0x04 == 0 && b&0x01 == 0
		}
		return b&0x08 == 0 && b&0x02 == 0
	}
	return false
}
