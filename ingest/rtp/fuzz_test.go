package rtp_test

import (
	"bytes"
	"testing"
	"time"

	pion "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

var allCodecs = []ingest.Codec{ingest.H264, ingest.H265, ingest.VP8, ingest.VP9, ingest.AV1, ingest.MJPEG}

// FuzzDepacketizer feeds every depacketizer with packets cut from arbitrary
// bytes: each begins with one byte of flags and one of length. What comes out can
// be decoded from its first packet on, and shows each loss.
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
		seq, stamp, first, lost := uint16(0), uint32(0), true, false
		for len(data) >= 2 {
			flags, size := data[0], min(int(data[1]), len(data)-2)
			payload := data[2 : 2+size]
			data = data[2+size:]
			missing := uint16(flags >> 1 & 3)
			seq += 1 + missing
			packet := &pion.Packet{Header: pion.Header{SequenceNumber: seq, Timestamp: stamp, Marker: flags&1 != 0}, Payload: payload}
			lost = lost || missing > 0
			before := r.Dropped()
			err := r.Push(packet, time.Unix(int64(seq), 0), func(p ingest.Packet) error {
				if first && (!p.Keyframe || p.Break) {
					t.Errorf("it begins with keyframe %v, break %v", p.Keyframe, p.Break)
				}
				if lost && !p.Break && !first {
					t.Errorf("packet %v after a loss has no break", p.PTS)
				}
				checkFuzzed(t, p)
				first, lost = false, false
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Dropped() < before || r.Losses().Late > 0 {
				t.Fatalf("dropped %d after %d, %+v", r.Dropped(), before, r.Losses())
			}
			if flags&1 != 0 || flags&8 != 0 {
				stamp += uint32(flags) * 1000
			}
		}
	})
}

// checkFuzzed checks what holds of any packet that is handed out.
func checkFuzzed(t *testing.T, p ingest.Packet) {
	t.Helper()
	if len(p.Data) == 0 || p.PTS < 0 || cap(p.Data)-len(p.Data) < ingest.PacketPadding || p.Keyframe && p.Disposable {
		t.Errorf("%d bytes, PTS %v, room %d, keyframe %v, disposable %v", len(p.Data), p.PTS, cap(p.Data)-len(p.Data), p.Keyframe, p.Disposable)
	}
	if beyond := p.Data[len(p.Data):cap(p.Data)]; !bytes.Equal(beyond, make([]byte, len(beyond))) {
		t.Errorf("what is beyond the data is not zero")
	}
	if p.Captured.IsZero() || p.Clock.Source == "" || p.Received.IsZero() {
		t.Errorf("captured %v, received %v, clock %+v", p.Captured, p.Received, p.Clock)
	}
	if p.Codec == ingest.H264 || p.Codec == ingest.H265 {
		sets := ingest.ParameterSets{Codec: p.Codec}
		sets.Complete(p.Data, p.Keyframe)
		if !bytes.HasPrefix(p.Data, []byte{0, 0, 0, 1}) || p.Keyframe && !sets.Whole() {
			t.Errorf("keyframe %v begins with % x", p.Keyframe, p.Data[:min(16, len(p.Data))])
		}
	}
}

// FuzzExtensions takes raw RTP packets, each behind its length, as they come off
// the network. Whatever their headers claim, each good picture comes out, in
// time.
func FuzzExtensions(f *testing.F) {
	_, packets := stream(f, ingest.VP8, 2)
	for _, stamp := range []stampWith{absCapture(nil), onvif, nil} {
		var seed []byte
		for _, p := range packets {
			p := &pion.Packet{Header: p.Header.Clone(), Payload: p.Payload}
			p.Payload = p.Payload[:min(20, len(p.Payload))]
			if stamp != nil {
				stamp(f, &p.Header, arrival)
			}
			raw, err := p.Marshal()
			if err != nil {
				f.Fatal(err)
			}
			seed = append(append(seed, byte(len(raw))), raw...)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rtp.NewReceiver("s", "e", ingest.VP8, 90000, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetExtensions(map[uint8]string{captureID: rtp.AbsCaptureTime})
		now, extended := arrival, uint64(0)
		for len(data) > 1 {
			size := min(int(data[0]), len(data)-1)
			var p pion.Packet
			err := p.Unmarshal(data[1 : 1+size : 1+size])
			data = data[1+size:]
			if err != nil {
				continue
			}
			if p.Extension {
				extended++
			}
			now = now.Add(5 * time.Millisecond)
			if err := r.Push(&p, now, func(p ingest.Packet) error { checkFuzzed(t, p); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if r.Losses().Malformed > extended {
			t.Errorf("%d malformed of %d", r.Losses().Malformed, extended)
		}
	})
}

// FuzzReorderer sends numbers in any order: none comes out twice without a
// restart or goes lost uncounted, and little waits.
func FuzzReorderer(f *testing.F) {
	f.Add([]byte{1, 1, 1, 3, 255, 1, 1, 200, 128, 5})
	f.Add(bytes.Repeat([]byte{2, 0, 254, 3}, 200))
	f.Fuzz(func(t *testing.T, moves []byte) {
		var r rtp.Reorderer
		var seq, last uint16
		in, out, started := uint64(0), uint64(0), false
		yield := func(p *pion.Packet, _ time.Time) error {
			if ahead := int16(p.SequenceNumber - last); started && ahead <= 0 && r.Losses().Restarts == 0 {
				t.Fatalf("%d after %d", p.SequenceNumber, last)
			}
			last, started = p.SequenceNumber, true
			out++
			return nil
		}
		for i, m := range moves[:min(len(moves), 5000)] {
			seq += uint16(int16(int8(m))) // now and then far away
			if m == 0x80 {
				seq += 20000
			}
			in++
			p := &pion.Packet{Header: pion.Header{SequenceNumber: seq}, Payload: make([]byte, 100)}
			if err := r.Push(p, arrival.Add(time.Duration(i)*time.Millisecond), yield); err != nil {
				t.Fatal(err)
			}
			l := r.Losses()
			if waiting := in - out - l.Late - l.Repeated; waiting > 512 {
				t.Fatalf("%d packets wait; %d in, %d out, %+v", waiting, in, out, l)
			}
		}
	})
}
