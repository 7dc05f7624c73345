package decode_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

const (
	markTicks = 90000
	markStart = 1<<32 - markTicks // RTP time wraps after a second
	captureID = 9
)

// shooting is a camera's work: packets sent at their pace, over a bad network,
// each picture captured at a time that is known exactly.
type shooting struct {
	list   []ingest.Packet // in decoding order
	loss   float64
	mix    int  // packets that change places with each other
	wild   int  // the same of every 30th row
	stamp  int  // every n-th picture says when it was captured; 0: none
	onvif  bool // it says so in ONVIF's way
	report bool
	clock  ingest.ClockSource // what frames must go by
	write  func(*pionrtp.Packet) error
	tell   func(*rtcp.SenderReport) error

	began time.Time     // capture time of the first picture
	begun chan struct{} // closed once that is known
	ended chan struct{} // closed when all is sent
}

// captured is when the index-th picture was.
func (s *shooting) captured(index int) time.Time {
	<-s.begun
	return s.began.Add(time.Duration(index) * time.Second / markRate)
}

func stampOf(since time.Duration) uint32 {
	return uint32(markStart + since.Microseconds()*markTicks/1e6)
}

// run sends everything, from now on.
func (s *shooting) run(ctx context.Context, t *testing.T) {
	first := uint16(65000)
	encoder := &rtph264.Encoder{PayloadType: 96, PayloadMaxSize: 1100, InitialSequenceNumber: &first, PacketizationMode: 1}
	if err := encoder.Init(); err != nil {
		t.Error(err)
		return
	}
	const step = time.Second / markRate
	lead := 20 * time.Millisecond // from capture to sending, of the picture that waits least
	for i, p := range s.list {
		lead = max(lead, p.PTS-time.Duration(i)*step+20*time.Millisecond)
	}
	random := rand.New(rand.NewPCG(3, 4))
	var waiting []*pionrtp.Packet
	batches := 0
	for i, p := range s.list {
		select {
		case <-time.After(time.Until(s.began.Add(lead + time.Duration(i)*step))):
		case <-ctx.Done():
			return
		}
		if s.report && i%15 == 0 {
			now := time.Now()
			if err := s.tell(&rtcp.SenderReport{NTPTime: rtp.ToNTP(now), RTPTime: stampOf(now.Sub(s.began))}); err != nil {
				t.Error(err)
			}
		}
		packets, err := encoder.Encode(slices.Collect(ingest.NALs(p.Data)))
		if err != nil {
			t.Error(err)
			return
		}
		for _, packet := range packets {
			packet.Timestamp = stampOf(p.PTS)
			if s.stamp > 0 && i%s.stamp == 0 {
				s.stampPacket(t, packet, s.began.Add(p.PTS))
			}
		}
		waiting = append(waiting, packets...)
		for size := s.size(batches); len(waiting) >= size || i == len(s.list)-1 && len(waiting) > 0; size = s.size(batches) {
			batch := waiting[:min(size, len(waiting))]
			waiting, batches = waiting[len(batch):], batches+1
			random.Shuffle(len(batch), func(a, b int) { batch[a], batch[b] = batch[b], batch[a] })
			for _, packet := range batch {
				if random.Float64() < s.loss {
					continue
				}
				if err := s.write(packet); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	}
}

// size is of the n-th batch of packets that change places.
func (s *shooting) size(n int) int {
	if s.wild > 0 && n%30 == 29 {
		return s.wild
	}
	return s.mix
}

// stampPacket puts a capture time into a packet's header.
func (s *shooting) stampPacket(t *testing.T, packet *pionrtp.Packet, captured time.Time) {
	id, b := uint8(captureID), binary.BigEndian.AppendUint64(nil, rtp.ToNTP(captured))
	if s.onvif {
		packet.Extension, packet.ExtensionProfile = true, 0xabac
		id, b = 0, append(b, 0x80, 1, 0, 0)
	}
	if err := packet.SetExtension(id, b); err != nil {
		t.Error(err)
	}
}
