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
	slice   bool // there is one
	fromTop bool // it begins with the picture's first block
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

// finish returns the collected units with padding behind, and in front of a
// keyframe the sets it lacks.
func (a *annexB) finish(sets *ingest.ParameterSets, keyframe bool) []byte {
	data := sets.Complete(a.data, keyframe)
	if cap(data) < len(data)+ingest.PacketPadding {
		return padded(data)
	}
	clear(data[len(data):cap(data)])
	return data
}
