package av

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

// av1CHead is what stands before the OBUs of AV1's configuration (AV1 in ISO base
// media files, 2.3.3).
const av1CHead = 4

// Converter makes a container's packets what ingest.Packet promises: H.264 and
// H.265 in Annex B form with parameter sets in front of keyframes, others as they
// are. It is used by one goroutine at a time.
type Converter struct {
	nal    bool
	length int // bytes of the size in front of each unit, 0 where there are start codes already
	sets   ingest.ParameterSets
	av1    ingest.AV1Headers
}

// Configure takes a stream's codec configuration: avcC or hvcC (ISO/IEC 14496-15,
// 5.3.3.1 and 8.3.3.1), or parameter sets in Annex B form, or nothing. What was
// configured before is forgotten, also where it fails.
func (c *Converter) Configure(codec ingest.Codec, extra []byte) error {
	*c = Converter{nal: codec == ingest.H264 || codec == ingest.H265, sets: ingest.ParameterSets{Codec: codec}}
	if codec == ingest.AV1 && len(extra) > av1CHead {
		c.av1.Disposable(extra[av1CHead:]) // it remembers the sequence header
	}
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

func (c *Converter) avcC(b []byte) error {
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

func (c *Converter) hvcC(b []byte) error {
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
func (c *Converter) units(b []byte, count int) (rest []byte, ok bool) {
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

// Convert returns a copy of data as a packet carries it, with padding. With an
// error it is what could be told apart before the damage.
func (c *Converter) Convert(data []byte) ([]byte, error) {
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

// Complete puts known parameter sets in front of a keyframe that lacks them, as
// ingest.ParameterSets does; other codecs' packets are returned as they are.
func (c *Converter) Complete(data []byte, keyframe bool) []byte {
	if !c.nal {
		return data
	}
	return c.sets.Complete(data, keyframe)
}

// Inspect tells whether decoding can start at a converted packet and whether no
// other depends on it: by the codec where it is understood here, else as the
// container says.
func (c *Converter) Inspect(data []byte, keyframe, disposable bool) (bool, bool) {
	switch c.sets.Codec {
	case ingest.H264, ingest.H265:
		return c.sets.Inspect(data)
	case ingest.VP9:
		disposable = ingest.InspectVP9(data)
	case ingest.AV1:
		disposable = c.av1.Disposable(data)
	}
	return keyframe, disposable && !keyframe
}

// Ready tells whether decoding can start: the parameter sets are known where the
// codec has such.
func (c *Converter) Ready() bool { return !c.nal || c.sets.Whole() }
