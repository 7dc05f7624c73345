package file

import (
	"bytes"
	"encoding/binary"
	"errors"

	"sightline/ingest"
)

var (
	errConfig = errors.New("damaged codec configuration")
	errLength = errors.New("a unit is longer than its packet")
)

// converter makes packets' bytes what ingest.Packet promises: H.264 and H.265 in
// Annex B form with parameter sets in front of keyframes, others as they are.
type converter struct {
	nal    bool
	length int // bytes of the size in front of each unit, 0 where there are start codes already
	sets   ingest.ParameterSets
}

// configure takes a stream's codec configuration: avcC or hvcC (ISO/IEC 14496-15,
// 5.3.3.1 and 8.3.3.1), or parameter sets in Annex B form.
func (c *converter) configure(codec ingest.Codec, extra []byte) error {
	*c = converter{nal: codec == ingest.H264 || codec == ingest.H265, sets: ingest.ParameterSets{Codec: codec}}
	switch {
	case !c.nal || len(extra) == 0:
		return nil
	case bytes.HasPrefix(extra, []byte{0, 0, 1}) || bytes.HasPrefix(extra, []byte{0, 0, 0, 1}):
		for unit := range ingest.NALs(extra) {
			c.sets.Add(unit)
		}
		return nil
	case codec == ingest.H264:
		return c.avcC(extra)
	default:
		return c.hvcC(extra)
	}
}

func (c *converter) avcC(b []byte) error {
	if len(b) < 7 {
		return errConfig
	}
	c.length = int(b[4]&3) + 1
	rest, ok := c.units(b[6:], int(b[5]&0x1f))
	if !ok || len(rest) == 0 {
		return errConfig
	}
	if _, ok = c.units(rest[1:], int(rest[0])); !ok {
		return errConfig
	}
	return nil
}

func (c *converter) hvcC(b []byte) error {
	if len(b) < 23 {
		return errConfig
	}
	c.length = int(b[21]&3) + 1
	arrays, b := int(b[22]), b[23:]
	for range arrays {
		if len(b) < 3 {
			return errConfig
		}
		ok := false
		if b, ok = c.units(b[3:], int(binary.BigEndian.Uint16(b[1:]))); !ok {
			return errConfig
		}
	}
	return nil
}

// units remembers count parameter sets, each behind its 16-bit size.
func (c *converter) units(b []byte, count int) (rest []byte, ok bool) {
	for range count {
		if len(b) < 2 {
			return nil, false
		}
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; size > len(b) {
			return nil, false
		}
		c.sets.Add(b[:size])
		b = b[size:]
	}
	return b, true
}

// convert returns a copy of data as a packet carries it, with padding. With
// errLength it is what could be told apart before the damage.
func (c *converter) convert(data []byte) ([]byte, error) {
	if c.length == 0 {
		out := make([]byte, len(data), len(data)+ingest.PacketPadding)
		copy(out, data)
		return out, nil
	}
	out := make([]byte, 0, len(data)+len(data)/64+ingest.PacketPadding)
	for len(data) > 0 {
		if len(data) < c.length {
			return out, errLength
		}
		size := 0
		for _, b := range data[:c.length] {
			size = size<<8 | int(b)
		}
		if data = data[c.length:]; size > len(data) {
			return out, errLength
		}
		out = append(append(out, 0, 0, 0, 1), data[:size]...)
		data = data[size:]
	}
	return out, nil
}
