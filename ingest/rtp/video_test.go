package rtp_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	pion "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

func av1Packets(t testing.TB, unit av1.Bitstream, stamp uint32, e *rtpav1.Encoder) []*pion.Packet {
	t.Helper()
	packets, err := e.Encode(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		p.Timestamp = stamp
	}
	return packets
}

func TestAV1(t *testing.T) {
	sequence := append([]byte{1 << 3}, 0, 0, 0, 0x42, 0xab, 0xbf, 0xc3, 0x71, 0xab, 0xe6, 0x01)
	frame := nal([]byte{6 << 3}, 700, 0)[4:]
	e := &rtpav1.Encoder{PayloadType: 96, PayloadMaxSize: mtu}
	if err := e.Init(); err != nil {
		t.Fatal(err)
	}
	units := []av1.Bitstream{{sequence, frame}, {frame}, {frame[:50], frame[:60]}, {sequence, frame}}
	var packets []*pion.Packet
	for i, u := range units {
		packets = append(packets, av1Packets(t, u, uint32(i*ticks), e)...)
	}
	got := push(t, newDepacketizer(t, ingest.AV1), packets)
	if len(got) != len(units) {
		t.Fatalf("%d units of %d", len(got), len(units))
	}
	for i, u := range got {
		want, err := units[i].Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(u.Data, want) || u.Keyframe != (len(units[i][0]) == len(sequence)) {
			t.Errorf("unit %d: %d bytes, keyframe %v, want %d bytes", i, len(u.Data), u.Keyframe, len(want))
		}
	}
}

func mjpegPackets(t testing.TB) []*pion.Packet {
	t.Helper()
	picture := image.NewYCbCr(image.Rect(0, 0, 64, 48), image.YCbCrSubsampleRatio420)
	for i := range picture.Y {
		picture.Y[i] = byte(i % 64 * 3)
	}
	for i := range picture.Cb {
		picture.Cb[i], picture.Cr[i] = 128, 128
	}
	var coded bytes.Buffer
	if err := jpeg.Encode(&coded, picture, nil); err != nil {
		t.Fatal(err)
	}
	e := &rtpmjpeg.Encoder{PayloadMaxSize: mtu}
	if err := e.Init(); err != nil {
		t.Fatal(err)
	}
	packets, err := e.Encode(coded.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

func TestMJPEG(t *testing.T) {
	units := push(t, newDepacketizer(t, ingest.MJPEG), mjpegPackets(t))
	if len(units) != 1 || !units[0].Keyframe {
		t.Fatalf("%d units", len(units))
	}
	picture, err := jpeg.Decode(bytes.NewReader(units[0].Data))
	if err != nil || picture.Bounds().Dx() != 64 || picture.Bounds().Dy() != 48 {
		t.Fatalf("%v", err)
	}
	luma := color.GrayModel.Convert(picture.At(32, 24)).(color.Gray).Y
	if luma < 90 || luma > 102 {
		t.Errorf("luma %d, was 96", luma)
	}
}

// Damaged packets of every codec: bytes flipped, cut short, swapped, dropped.
func TestDamagedPackets(t *testing.T) {
	e := &rtpav1.Encoder{PayloadType: 96, PayloadMaxSize: mtu}
	if err := e.Init(); err != nil {
		t.Fatal(err)
	}
	good := map[ingest.Codec][]*pion.Packet{
		ingest.AV1:   av1Packets(t, av1.Bitstream{nal([]byte{1 << 3}, 20, 0)[4:], nal([]byte{6 << 3}, 900, 0)[4:]}, 0, e),
		ingest.MJPEG: mjpegPackets(t),
	}
	for _, codec := range nalCodecs {
		_, good[codec] = stream(t, codec, 4)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for codec, packets := range good {
		for range 3000 {
			d := newDepacketizer(t, codec)
			for _, p := range packets {
				p := &pion.Packet{Header: p.Header, Payload: slices.Clone(p.Payload)}
				switch random.IntN(12) {
				case 0:
					continue
				case 1:
					p.Payload[random.IntN(min(len(p.Payload), 12))] ^= byte(1 << random.IntN(8))
				case 2:
					p.Payload = p.Payload[:random.IntN(len(p.Payload))]
				case 3:
					p.Timestamp++
				case 4:
					p.SequenceNumber += uint16(random.IntN(600))
				}
				err := d.Push(p, time.Time{}, func(u rtp.Unit) error {
					if len(u.Data) == 0 || cap(u.Data)-len(u.Data) < ingest.PacketPadding {
						t.Errorf("%s: %d bytes with room for %d", codec, len(u.Data), cap(u.Data)-len(u.Data))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
