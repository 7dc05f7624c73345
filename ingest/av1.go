package ingest

// AV1 OBU types and frame types that matter here (bitstream specification, 6.2.2
// and 6.8.2).
const (
	av1Sequence    = 1
	av1FrameHeader = 3
	av1Frame       = 6

	av1Key    = 0
	av1Switch = 3

	// av1Select says that each frame chooses for itself.
	av1Select = 2
)

// AV1Headers remembers what one AV1 stream says in its sequence header, to read
// frame headers. It is used by one goroutine at a time.
type AV1Headers struct {
	known       bool // there is a sequence header, of a kind that is understood
	idBits      int
	screenTools uint
	integerMV   uint
	orderBits   int
}

// Disposable tells whether no other picture depends on a temporal unit (a
// sequence of OBUs with size fields): none of its frames refreshes a reference,
// through which everything goes that AV1 keeps from frame to frame. It remembers
// a sequence header inside; without any, and after one that is not understood,
// it knows of nothing disposable.
func (h *AV1Headers) Disposable(unit []byte) bool {
	frames, kept := 0, 0
	for len(unit) > 0 {
		kind, payload, rest, ok := av1OBU(unit)
		if !ok {
			return false
		}
		unit = rest
		switch kind {
		case av1Sequence:
			h.learn(payload)
		case av1FrameHeader, av1Frame:
			frames++
			if !h.known || h.refreshes(payload) {
				kept++
			}
		}
	}
	return h.known && frames > 0 && kept == 0
}

// av1OBU cuts the first OBU off (5.3).
func av1OBU(b []byte) (kind byte, payload, rest []byte, ok bool) {
	kind, head := b[0]>>3&15, 1+int(b[0]>>2&1)
	if b[0]&2 == 0 || len(b) < head {
		return kind, nil, nil, false
	}
	size, b := 0, b[head:]
	for i := range 8 {
		if i >= len(b) {
			return kind, nil, nil, false
		}
		size |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			b = b[i+1:]
			return kind, b[:min(size, len(b))], b[min(size, len(b)):], size <= len(b)
		}
	}
	return kind, nil, nil, false
}

// learn reads a sequence header (5.5.1) as far as frame headers depend on it.
// Those with a model of the decoder's buffer, and still pictures, are passed over.
func (h *AV1Headers) learn(payload []byte) {
	*h = AV1Headers{}
	b := bitReader{data: payload}
	b.skip(3 + 1)
	if still, timing := b.flag(), b.flag(); still || timing {
		return
	}
	delay := b.flag()
	for range b.bits(5) + 1 {
		b.skip(12)
		if level := b.bits(5); level > 7 {
			b.skip(1)
		}
		if delay && b.flag() {
			b.skip(4)
		}
	}
	width, height := b.bits(4)+1, b.bits(4)+1
	b.skip(int(width + height))
	if b.flag() {
		h.idBits = int(b.bits(4)+2) + int(b.bits(3)+1)
	}
	b.skip(3 + 4)
	order := b.flag()
	if order {
		b.skip(2)
	}
	if h.screenTools = av1Select; !b.flag() {
		h.screenTools = b.bits(1)
	}
	if h.integerMV = av1Select; h.screenTools > 0 && !b.flag() {
		h.integerMV = b.bits(1)
	}
	if order {
		h.orderBits = int(b.bits(3)) + 1
	}
	h.known = !b.over
}

// refreshes reads a frame header (5.9.2) up to refresh_frame_flags.
func (h *AV1Headers) refreshes(payload []byte) bool {
	b := bitReader{data: payload}
	if existing := b.flag(); existing {
		return true
	}
	kind := b.bits(2)
	if kind == av1Key || kind == av1Switch {
		return true
	}
	if shown := b.flag(); !shown {
		b.skip(1)
	}
	resilient, intra := b.flag(), kind == 2
	b.skip(1)
	tools := h.screenTools
	if tools == av1Select {
		tools = b.bits(1)
	}
	if tools > 0 && h.integerMV == av1Select {
		b.skip(1)
	}
	b.skip(h.idBits + 1 + h.orderBits)
	if !intra && !resilient {
		b.skip(3)
	}
	return b.bits(8) != 0 || b.over
}

// bitReader reads bits from the highest on; past the end it reads zeros.
type bitReader struct {
	data []byte
	at   int
	over bool // the end was passed
}

func (b *bitReader) bits(n int) (v uint) {
	for range n {
		v <<= 1
		if b.at/8 >= len(b.data) {
			b.over = true
			continue
		}
		v |= uint(b.data[b.at/8]>>(7-b.at%8)) & 1
		b.at++
	}
	return v
}

func (b *bitReader) flag() bool { return b.bits(1) == 1 }

func (b *bitReader) skip(n int) { b.bits(n) }
