package rtp

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/pion/rtp"

	"sightline/ingest"
)

var (
	errEmpty     = errors.New("no picture in the packets")
	errFragment  = errors.New("fragment without its beginning or end")
	errTruncated = errors.New("packet too short")
	errType      = errors.New("packet type not supported")
	errHead      = errors.New("the beginning of the picture is missing")
)

// head is what the NAL units before and at the first slice say.
type head struct {
	slice   bool   // there is one
	fromTop bool   // it begins with the picture's first block
	have    []byte // kinds of parameter sets in front of it
}

var startCode = []byte{0, 0, 0, 1}

// annexB collects NAL units behind start codes.
type annexB struct {
	data []byte
	open bool // a fragmented unit waits for its end
}

// newAnnexB has room for what packets carry.
func newAnnexB(packets []*rtp.Packet) *annexB {
	size := ingest.PacketPadding
	for _, p := range packets {
		size += len(p.Payload) + 2*len(startCode)
	}
	return &annexB{data: make([]byte, 0, size)}
}

// add appends a whole unit.
func (a *annexB) add(nal []byte) error {
	if a.open {
		return errFragment
	}
	if !bytes.HasPrefix(nal, startCode) { // some cameras send start codes along
		a.data = append(a.data, startCode...)
	}
	a.data = append(a.data, nal...)
	return nil
}

// fragment appends a part of a unit; header is the unit's own, used at its start.
func (a *annexB) fragment(start, end bool, header, body []byte) error {
	if start == a.open {
		return errFragment
	}
	if start {
		a.data = append(append(a.data, startCode...), header...)
	}
	a.data = append(a.data, body...)
	a.open = !end
	return nil
}

// aggregate appends the units of a packet that holds several, each behind its
// 16-bit size. Zero bytes at the end are padding.
func (a *annexB) aggregate(body []byte) error {
	for len(body) > 0 {
		if len(body) < 2 {
			return errTruncated
		}
		size := int(binary.BigEndian.Uint16(body))
		body = body[2:]
		if size == 0 && len(bytes.Trim(body, "\x00")) == 0 {
			return nil
		}
		if size == 0 || size > len(body) {
			return errTruncated
		}
		if err := a.add(body[:size]); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}

// finish returns the collected units with prefix in front and padding behind.
func (a *annexB) finish(prefix [][]byte) []byte {
	data := a.data
	size := len(data) + ingest.PacketPadding
	for _, nal := range prefix {
		size += len(startCode) + len(nal)
	}
	if len(prefix) > 0 || size > cap(data) {
		data = make([]byte, 0, size)
		for _, nal := range prefix {
			data = append(append(data, startCode...), nal...)
		}
		data = append(data, a.data...)
	}
	clear(data[len(data):cap(data)])
	return data
}

// parameters remembers the latest parameter sets of a stream by type and id.
type parameters []parameter

type parameter struct {
	kind byte
	id   uint
	nal  []byte
}

// maxParameters bounds what a hostile sender can make us remember.
const maxParameters = 64

// keep stores a copy of nal, in place of the one with its kind and id.
func (p *parameters) keep(kind byte, id uint, nal []byte) {
	for i, q := range *p {
		if q.kind == kind && q.id == id {
			if !bytes.Equal(q.nal, nal) {
				(*p)[i].nal = bytes.Clone(nal)
			}
			return
		}
	}
	if len(*p) < maxParameters {
		*p = append(*p, parameter{kind, id, bytes.Clone(nal)})
	}
}

// prefix returns what has to stand in front of a keyframe that brings only the
// kinds in have, and whether it then has all kinds.
func (p parameters) prefix(have, kinds []byte) (nals [][]byte, complete bool) {
	for _, kind := range kinds {
		if !bytes.Contains(have, []byte{kind}) {
			return p.sets(kinds)
		}
	}
	return nil, true
}

// sets returns the sets of the given kinds, kind by kind, and whether there is
// at least one of each.
func (p parameters) sets(kinds []byte) (nals [][]byte, complete bool) {
	for _, kind := range kinds {
		before := len(nals)
		for _, q := range p {
			if q.kind == kind {
				nals = append(nals, q.nal)
			}
		}
		if len(nals) == before {
			return nil, false
		}
	}
	return nals, true
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
