package ingest

// InspectVP9 tells whether no other picture depends on a VP9 frame (bitstream
// specification, 6.2): it refreshes no reference and is error resilient. Without
// the latter, which encoders set for a whole stream, the next frame may take
// motion vectors and probabilities from it all the same. Superframes, which hold
// several frames, and those that only show another are never disposable.
func InspectVP9(frame []byte) (disposable bool) {
	if len(frame) < 3 || frame[0]>>6 != 2 || frame[len(frame)-1]&0xe0 == 0xc0 {
		return false
	}
	header, at := uint32(frame[0])<<16|uint32(frame[1])<<8|uint32(frame[2]), 20
	next := func() bool {
		at--
		return header>>at&1 == 1
	}
	if frame[0]>>4&3 == 3 { // of profile 3
		next()
	}
	showExisting, delta, shown, resilient := next(), next(), next(), next()
	if showExisting || !delta || !resilient || !shown && next() {
		return false
	}
	return header>>(at-8)&0xff == 0
}
