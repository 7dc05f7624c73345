package rtp

import (
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"sightline/ingest"
)

// padded copies parts, one after the other, into memory that decoders may
// over-read.
func padded(parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	data := make([]byte, 0, size+ingest.PacketPadding)
	for _, p := range parts {
		data = append(data, p...)
	}
	return data
}

// vp8Unpacker unpacks RFC 7741.
type vp8Unpacker struct{}

func (vp8Unpacker) unpack(packets []*rtp.Packet, headless bool) (Unit, error) {
	parts := make([][]byte, 0, len(packets))
	disposable := true
	for i, p := range packets {
		if len(p.Payload) == 0 {
			continue // not lost: padding only
		}
		var head codecs.VP8Packet
		body, err := head.Unmarshal(p.Payload)
		if err != nil {
			return Unit{}, err
		}
		if starts := head.S == 1 && head.PID == 0; len(parts) == 0 && !starts {
			return Unit{}, errHead
		} else if i > 0 && len(parts) > 0 && starts {
			return Unit{}, errFragment // a second frame under the same time stamp
		}
		disposable = disposable && head.N == 1
		parts = append(parts, body)
	}
	data := padded(parts...)
	if len(data) == 0 {
		return Unit{}, errEmpty
	}
	keyframe := data[0]&1 == 0
	return Unit{Data: data, Keyframe: keyframe, Disposable: disposable && !keyframe}, nil
}

// vp9Unpacker unpacks RFC 9628 for streams without spatial layers.
type vp9Unpacker struct{}

func (vp9Unpacker) unpack(packets []*rtp.Packet, headless bool) (Unit, error) {
	parts := make([][]byte, 0, len(packets))
	for _, p := range packets {
		if len(p.Payload) == 0 {
			continue // not lost: padding only
		}
		var head codecs.VP9Packet
		body, err := head.Unmarshal(p.Payload)
		if err != nil {
			return Unit{}, err
		}
		if len(parts) == 0 && !head.B {
			return Unit{}, errHead
		}
		parts = append(parts, body)
	}
	data := padded(parts...)
	if len(data) == 0 {
		return Unit{}, errEmpty
	}
	var frame vp9.Header
	err := frame.Unmarshal(data)
	return Unit{
		Data:       data,
		Keyframe:   err == nil && !frame.NonKeyFrame && !frame.ShowExistingFrame,
		Disposable: ingest.InspectVP9(data),
	}, nil
}

// av1Unpacker unpacks AV1's RTP format 1.0. A decoder's state is that of fragments
// within a unit, so a fresh one serves each.
type av1Unpacker struct{ headers ingest.AV1Headers }

func (u *av1Unpacker) unpack(packets []*rtp.Packet, headless bool) (Unit, error) {
	var decoder rtpav1.Decoder
	if err := decoder.Init(); err != nil {
		return Unit{}, err
	}
	var unit av1.Bitstream
	for i, p := range packets {
		part := *p
		part.Marker = i == len(packets)-1
		obus, err := decoder.Decode(&part)
		if err == rtpav1.ErrMorePacketsNeeded {
			continue // not lost: the decoder keeps it for the next
		}
		if err != nil {
			return Unit{}, err
		}
		unit = obus
	}
	if len(unit) == 0 {
		return Unit{}, errFragment
	}
	data, err := unit.Marshal()
	if err != nil {
		return Unit{}, err
	}
	keyframe := av1.IsRandomAccess2(unit)
	return Unit{Data: padded(data), Keyframe: keyframe, Disposable: u.headers.Disposable(data) && !keyframe}, nil
}

// mjpegUnpacker unpacks RFC 2435.
type mjpegUnpacker struct{}

func (mjpegUnpacker) unpack(packets []*rtp.Packet, headless bool) (Unit, error) {
	var decoder rtpmjpeg.Decoder
	if err := decoder.Init(); err != nil {
		return Unit{}, err
	}
	var picture []byte
	for i, p := range packets {
		part := *p
		part.Marker = i == len(packets)-1
		data, err := decoder.Decode(&part)
		if err == rtpmjpeg.ErrMorePacketsNeeded {
			continue // not lost: the decoder keeps it for the next
		}
		if err != nil {
			return Unit{}, err
		}
		picture = data
	}
	if len(picture) == 0 {
		return Unit{}, errEmpty
	}
	return Unit{Data: padded(picture), Keyframe: true}, nil
}
