package camera

import (
	"fmt"
	"slices"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/pion/rtp"

	"sightline/ingest"
)

// payloadType is the first of the dynamic ones (RFC 3551, 6).
const payloadType = 96

// packetizer cuts one access unit into RTP packets, all but their time stamps.
type packetizer func(data []byte) ([]*rtp.Packet, error)

// newPacketizer makes the format and packetizer of a stream from its first
// keyframe.
func newPacketizer(p ingest.Packet) (format.Format, packetizer, error) {
	switch p.Codec {
	case ingest.H264:
		sets := parameterSets(p.Data, func(nal []byte) byte { return nal[0] & 0x1f }, 7, 8)
		f := &format.H264{PayloadTyp: payloadType, PacketizationMode: 1, SPS: sets[0], PPS: sets[1]}
		e, err := f.CreateEncoder()
		return f, func(data []byte) ([]*rtp.Packet, error) {
			return e.Encode(slices.Collect(ingest.NALs(data)))
		}, err
	case ingest.H265:
		sets := parameterSets(p.Data, func(nal []byte) byte { return nal[0] >> 1 & 0x3f }, 32, 33, 34)
		f := &format.H265{PayloadTyp: payloadType, VPS: sets[0], SPS: sets[1], PPS: sets[2]}
		e, err := f.CreateEncoder()
		return f, func(data []byte) ([]*rtp.Packet, error) {
			return e.Encode(slices.Collect(ingest.NALs(data)))
		}, err
	case ingest.VP8:
		f := &format.VP8{PayloadTyp: payloadType}
		e, err := f.CreateEncoder()
		return f, e.Encode, err
	case ingest.VP9:
		f := &format.VP9{PayloadTyp: payloadType}
		e, err := f.CreateEncoder()
		return f, e.Encode, err
	case ingest.AV1:
		f := &format.AV1{PayloadTyp: payloadType}
		e, err := f.CreateEncoder()
		return f, func(data []byte) ([]*rtp.Packet, error) {
			var obus av1.Bitstream
			if err := obus.Unmarshal(data); err != nil {
				return nil, err
			}
			return e.Encode(obus)
		}, err
	case ingest.MJPEG:
		f := &format.MJPEG{}
		e, err := f.CreateEncoder()
		return f, e.Encode, err
	}
	return nil, nil, fmt.Errorf("no RTP payload format known for codec %q", p.Codec)
}

// parameterSets returns the first set of each kind, nil where there is none.
func parameterSets(au []byte, kindOf func(nal []byte) byte, kinds ...byte) [][]byte {
	sets := make([][]byte, len(kinds))
	for nal := range ingest.NALs(au) {
		if i := slices.Index(kinds, kindOf(nal)); i >= 0 && sets[i] == nil {
			sets[i] = slices.Clone(nal)
		}
	}
	return sets
}
