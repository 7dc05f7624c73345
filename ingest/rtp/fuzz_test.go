package rtp_test

import (
	"testing"
	"time"

	pion "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

var allCodecs = []ingest.Codec{ingest.H264, ingest.H265, ingest.VP8, ingest.VP9, ingest.AV1, ingest.MJPEG}

// FuzzDepacketizer feeds every depacketizer with packets cut from arbitrary
// bytes: each begins with one byte of flags and one of length.
func FuzzDepacketizer(f *testing.F) {
	for which, codec := range nalCodecs {
		_, packets := stream(f, codec, 3)
		var seed []byte
		for _, p := range packets {
			flags := byte(0)
			if p.Marker {
				flags = 1
			}
			seed = append(append(seed, flags, byte(len(p.Payload))), p.Payload...)
		}
		f.Add(byte(which), seed)
	}
	f.Add(byte(4), []byte{1, 6, 0x10, 0x0a, 0x0b, 0, 0, 0})
	f.Add(byte(5), []byte{1, 14, 0, 0, 0, 0, 1, 50, 2, 2, 1, 2, 3, 4, 0xff, 0xd9})
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		codec := allCodecs[int(which)%len(allCodecs)]
		r, err := rtp.NewReceiver("s", "e", codec, 90000, [][]byte{{0x67}, {}, {0x68, 0, 0}})
		if err != nil {
			t.Fatal(err)
		}
		seq, stamp, first := uint16(0), uint32(0), true
		for len(data) >= 2 {
			flags, size := data[0], min(int(data[1]), len(data)-2)
			payload := data[2 : 2+size]
			data = data[2+size:]
			seq += 1 + uint16(flags>>1&3) // 1: no loss
			packet := &pion.Packet{Header: pion.Header{SequenceNumber: seq, Timestamp: stamp, Marker: flags&1 != 0}, Payload: payload}
			if flags&1 != 0 || flags&8 != 0 {
				stamp += uint32(flags) * 1000
			}
			err := r.Push(packet, time.Unix(int64(seq), 0), func(p ingest.Packet) error {
				if len(p.Data) == 0 || p.PTS < 0 || first && !p.Keyframe || cap(p.Data)-len(p.Data) < ingest.PacketPadding {
					t.Errorf("%d bytes, PTS %v, keyframe %v, room %d", len(p.Data), p.PTS, p.Keyframe, cap(p.Data)-len(p.Data))
				}
				first = false
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
