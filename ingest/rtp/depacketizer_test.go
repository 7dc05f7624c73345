package rtp_test

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpvp8"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpvp9"
	pion "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtp"
)

const ticks = 3600

var arrival = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// mtu is small, so that units of a few hundred bytes need several packets.
const mtu = 200

// sample is one access unit as it goes in, and what must come out.
type sample struct {
	data                 []byte
	keyframe, disposable bool
}

func h264Samples(n int) (samples []sample) {
	for _, p := range ingesttest.H264(n, 10, time.Second) {
		samples = append(samples, sample{p.Data, p.Keyframe, p.Disposable})
	}
	return samples
}

func nal(header []byte, size, number int) []byte {
	b := append([]byte{0, 0, 0, 1}, header...)
	for i := range size {
		b = append(b, byte(1+(i+number)%250))
	}
	return b
}

// h265Samples has two temporal layers; only the upper one can be spared.
func h265Samples(n int) (samples []sample) {
	sets := slices.Concat(
		nal([]byte{32 << 1, 1, 0x10}, 10, 0), // VPS
		nal([]byte{33 << 1, 1, 0x03}, 10, 0), // SPS: two layers
		nal([]byte{34 << 1, 1, 0x80}, 10, 0)) // PPS
	for i := range n {
		switch {
		case i%10 == 0:
			samples = append(samples, sample{append(bytes.Clone(sets), nal([]byte{19 << 1, 1, 0x80}, 900, i)...), true, false})
		case i%3 == 0: // TRAIL_N in the lower layer: the upper may refer to it
			samples = append(samples, sample{nal([]byte{0, 1, 0x80}, 300, i), false, false})
		case i%3 == 1:
			samples = append(samples, sample{nal([]byte{0, 2, 0x80}, 300, i), false, true})
		default:
			samples = append(samples, sample{nal([]byte{1 << 1, 1, 0x80}, 500, i), false, false})
		}
	}
	return samples
}

func vpSamples(n int, key, delta byte) (samples []sample) {
	for i := range n {
		first := delta
		if i%10 == 0 {
			first = key
		}
		samples = append(samples, sample{nal([]byte{first, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0e, 0xf0}, 400, i)[4:], i%10 == 0, false})
	}
	return samples
}

type encoder interface {
	Encode([]byte) ([]*pion.Packet, error)
}

type nalEncoder struct {
	encode func([][]byte) ([]*pion.Packet, error)
}

func (e nalEncoder) Encode(data []byte) ([]*pion.Packet, error) {
	return e.encode(slices.Collect(ingest.NALs(data)))
}

// stream is a codec's samples, packetized by an independent implementation.
func stream(t testing.TB, codec ingest.Codec, n int) ([]sample, []*pion.Packet) {
	t.Helper()
	var samples []sample
	var e encoder
	first := uint16(65500) // wraps
	var err error
	switch codec {
	case ingest.H264:
		samples = h264Samples(n)
		h := &rtph264.Encoder{PayloadType: 96, PayloadMaxSize: mtu, InitialSequenceNumber: &first, PacketizationMode: 1}
		err, e = h.Init(), nalEncoder{h.Encode}
	case ingest.H265:
		samples = h265Samples(n)
		h := &rtph265.Encoder{PayloadType: 96, PayloadMaxSize: mtu, InitialSequenceNumber: &first}
		err, e = h.Init(), nalEncoder{h.Encode}
	case ingest.VP8:
		samples = vpSamples(n, 0x10, 0x11)
		h := &rtpvp8.Encoder{PayloadType: 96, PayloadMaxSize: mtu, InitialSequenceNumber: &first}
		err, e = h.Init(), h
	case ingest.VP9:
		samples = vpSamples(n, 0x82, 0x86)
		h := &rtpvp9.Encoder{PayloadType: 96, PayloadMaxSize: mtu, InitialSequenceNumber: &first}
		err, e = h.Init(), h
	}
	if err != nil {
		t.Fatal(err)
	}
	var packets []*pion.Packet
	for i, s := range samples {
		ps, err := e.Encode(s.data)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			p.Timestamp = uint32(i * ticks)
		}
		packets = append(packets, ps...)
	}
	return samples, packets
}

var nalCodecs = []ingest.Codec{ingest.H264, ingest.H265, ingest.VP8, ingest.VP9}

func push(t testing.TB, d *rtp.Depacketizer, packets []*pion.Packet) (units []rtp.Unit) {
	t.Helper()
	for i, p := range packets {
		err := d.Push(p, arrival.Add(time.Duration(i)), func(u rtp.Unit) error {
			units = append(units, u)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return units
}

func newDepacketizer(t testing.TB, codec ingest.Codec, params ...[]byte) *rtp.Depacketizer {
	t.Helper()
	d, err := rtp.New(codec, params)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUnitsComeBackAsTheyWere(t *testing.T) {
	for _, codec := range nalCodecs {
		samples, packets := stream(t, codec, 40)
		for _, marked := range []bool{true, false} {
			if !marked {
				for _, p := range packets {
					p.Marker = false
				}
				samples = samples[:len(samples)-1] // nothing tells the last one's end
			}
			units := push(t, newDepacketizer(t, codec), packets)
			if len(units) != len(samples) {
				t.Fatalf("%s marked %v: %d units of %d", codec, marked, len(units), len(samples))
			}
			for i, u := range units {
				s := samples[i]
				if !bytes.Equal(u.Data, s.data) || u.Keyframe != s.keyframe || u.Disposable != s.disposable || u.Break {
					t.Fatalf("%s unit %d: %d bytes, keyframe %v, disposable %v, break %v; want %d, %v, %v",
						codec, i, len(u.Data), u.Keyframe, u.Disposable, u.Break, len(s.data), s.keyframe, s.disposable)
				}
				if u.Timestamp != uint32(i*ticks) || cap(u.Data)-len(u.Data) < ingest.PacketPadding {
					t.Fatalf("%s unit %d: time %d, room %d", codec, i, u.Timestamp, cap(u.Data)-len(u.Data))
				}
			}
		}
	}
}

// Whichever one or two packets are lost, no torn unit comes out, at most the
// units hit and the next are missing, and the first one after says so.
func TestAnyLossIsSeen(t *testing.T) {
	for _, codec := range nalCodecs {
		samples, packets := stream(t, codec, 25)
		intact := map[string]int{}
		for i, s := range samples {
			intact[string(s.data)] = i
		}
		for lost := 1; packets[lost].Timestamp < 20*ticks; lost++ {
			for n := 1; n <= 2; n++ {
				rest := slices.Concat(packets[:lost], packets[lost+n:])
				d := newDepacketizer(t, codec)
				last, breaks := -1, 0
				for _, u := range push(t, d, rest) {
					i, ok := intact[string(u.Data)]
					switch {
					case !ok:
						t.Fatalf("%s without packets %d+%d: a torn unit", codec, lost, n)
					case i != last+1 && !u.Break:
						t.Fatalf("%s without packets %d+%d: unit %d follows %d without a break", codec, lost, n, i, last)
					case i-last > 3:
						t.Fatalf("%s without packets %d+%d: unit %d follows %d", codec, lost, n, i, last)
					}
					if last = i; u.Break {
						breaks++
					}
				}
				if breaks != 1 || last != len(samples)-1 || d.Dropped() > 2 {
					t.Fatalf("%s without packets %d+%d: %d breaks, last unit %d, %d dropped", codec, lost, n, breaks, last, d.Dropped())
				}
			}
		}
	}
}

func TestLateAndRepeatedPacketsAreIgnored(t *testing.T) {
	samples, packets := stream(t, ingest.H264, 10)
	var noisy []*pion.Packet
	for i, p := range packets {
		noisy = append(noisy, p, p)
		if i > 5 {
			noisy = append(noisy, packets[i-5])
		}
	}
	d := newDepacketizer(t, ingest.H264)
	if units := push(t, d, noisy); len(units) != len(samples) {
		t.Errorf("%d units of %d", len(units), len(samples))
	}
	if want := (ingest.Losses{Late: uint64(len(noisy) - len(packets))}); d.Losses() != want {
		t.Errorf("%+v, want %+v", d.Losses(), want)
	}
}

// Parameter sets sent once, or only described, stand before every keyframe.
func TestParameterSetsAreRemembered(t *testing.T) {
	idr := nal([]byte{0x65, 0x88}, 50, 0)[4:]
	send := func(d *rtp.Depacketizer, seq uint16, nals ...[]byte) []rtp.Unit {
		var packets []*pion.Packet
		for i, n := range nals {
			packets = append(packets, &pion.Packet{
				Header:  pion.Header{SequenceNumber: seq + uint16(i), Timestamp: uint32(seq) * ticks, Marker: i == len(nals)-1},
				Payload: n,
			})
		}
		return push(t, d, packets)
	}
	code := []byte{0, 0, 0, 1}
	want := slices.Concat(code, ingesttest.SPS, code, ingesttest.PPS, code, idr)

	described := newDepacketizer(t, ingest.H264, ingesttest.SPS, ingesttest.PPS)
	if u := send(described, 1, idr); len(u) != 1 || !bytes.Equal(u[0].Data, want) || !u[0].Keyframe {
		t.Errorf("described sets: %d units", len(u))
	}
	unknown := newDepacketizer(t, ingest.H264)
	if u := send(unknown, 1, idr); len(u) != 1 || u[0].Keyframe {
		t.Error("a keyframe without any parameter sets passes for one")
	}
	if u := send(unknown, 2, ingesttest.SPS, ingesttest.PPS); len(u) != 0 {
		t.Error("parameter sets alone make a unit")
	}
	if u := send(unknown, 4, idr); len(u) != 1 || !bytes.Equal(u[0].Data, want) || !u[0].Keyframe {
		t.Error("sets sent before the keyframe are not in front of it")
	}
	// A new SPS comes alone: the PPS sent once goes along.
	sps := bytes.Clone(ingesttest.SPS)
	sps[3] = 0x1f
	u := send(unknown, 5, sps, idr)
	if len(u) != 1 || !bytes.Contains(u[0].Data, ingesttest.PPS) || bytes.Contains(u[0].Data, ingesttest.SPS) {
		t.Error("the picture parameter set is missing beside a new SPS, or the old SPS still there")
	}
}

func TestUnknownCodec(t *testing.T) {
	if _, err := rtp.New("theora", nil); err == nil {
		t.Error("no error for a codec without payload format")
	}
}

func TestNTP(t *testing.T) {
	for _, at := range []time.Time{arrival, arrival.Add(999_999_999), time.Date(2036, 2, 7, 6, 28, 17, 500, time.UTC)} {
		if got := rtp.FromNTP(rtp.ToNTP(at)); got.Sub(at).Abs() > 1 {
			t.Errorf("%v becomes %v", at, got)
		}
	}
	// RFC 868's and RFC 5905's known pair: 1 Jan 1970 is 2208988800; half a second is 2^31.
	if got := rtp.FromNTP(2208988800<<32 | 1<<31); !got.Equal(time.Unix(0, 5e8)) {
		t.Errorf("%v", got)
	}
}

// A sender that begins to count anew a little behind where it was is heard again,
// and what is missing is counted.
func TestSequenceBeginsAnew(t *testing.T) {
	samples, packets := stream(t, ingest.VP8, 500)
	for i, p := range packets {
		if p.SequenceNumber = uint16(i + 1000); i >= 700 {
			p.SequenceNumber -= 400
		}
	}
	d := newDepacketizer(t, ingest.VP8)
	units := push(t, d, append(packets[:10:10], packets[12:]...))
	if len(units) < len(samples)/2 || d.Dropped() > 3 {
		t.Errorf("%d units of %d, %d dropped", len(units), len(samples), d.Dropped())
	}
	if got := d.Losses(); got.Lost != 2 || got.Late != 400 || got.Restarts != 0 {
		t.Errorf("%+v", got)
	}
	stuck := newDepacketizer(t, ingest.VP8)
	for range 2000 {
		push(t, stuck, packets[:1])
	}
	if got := stuck.Losses(); got.Restarts != 3 || got.Late != 1996 {
		t.Errorf("with one number only: %+v", got)
	}
}

// TestEndlessUnit has a sender that never ends a picture, of packets with next to
// nothing in them.
func TestEndlessUnit(t *testing.T) {
	d, err := rtp.New(ingest.VP8, nil)
	if err != nil {
		t.Fatal(err)
	}
	used := func() int {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		return int(memory.HeapAlloc)
	}
	var got []rtp.Unit
	push := func(seq int, timestamp uint32, payload []byte) {
		p := &pion.Packet{Header: pion.Header{SequenceNumber: uint16(seq), Timestamp: timestamp}, Payload: payload}
		if err := d.Push(p, arrival, func(u rtp.Unit) error { got = append(got, u); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	before := used()
	const endless = 60_000
	for i := range endless {
		push(i, 0, make([]byte, i%2, 1500)) // a buffer, as connections give one
	}
	if more := used() - before; more > 40<<20 {
		t.Errorf("%d packets of one picture hold %d MiB", endless, more>>20)
	}
	push(endless, ticks, []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a})
	push(endless+1, 2*ticks, nil)
	if len(got) != 1 || !got[0].Break || !got[0].Keyframe || d.Dropped() != 1 {
		t.Errorf("%d units, %d dropped", len(got), d.Dropped())
	}
}
