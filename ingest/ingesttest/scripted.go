// Package ingesttest holds what tests of ingest and of the stages behind it
// share: a source whose packets the test writes, and the contract that every
// kind of source keeps.
package ingesttest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"sightline/ingest"
)

// start is the capture time of a Scripted source's presentation time 0.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Script is what one Run of a Scripted source does.
type Script struct {
	Packets []ingest.Packet
	Paced   bool  // waits for each packet's PTS instead of sending at once
	Hold    bool  // after the packets, waits for the context's end
	End     error // what Run returns after the packets
}

// Scripted is a Source that follows the test's script. Each Run takes the next
// of Scripts and, after the last, the last again. Fields that a packet leaves
// empty are filled in: Stream, Epoch ("scripted-1" and so on by Run), Codec
// (H.264), Captured (a fixed date plus PTS) and Clock.
type Scripted struct {
	Stream  string
	Scripts []Script

	runs atomic.Int64
}

// Runs is how often Run was called.
func (s *Scripted) Runs() int { return int(s.runs.Load()) }

// Run implements ingest.Source.
func (s *Scripted) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	run := int(s.runs.Add(1))
	script := s.Scripts[min(run, len(s.Scripts))-1]
	began := time.Now()
	for _, p := range script.Packets {
		if script.Paced {
			if err := ingest.Pause(ctx, time.Until(began.Add(p.PTS))); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(s.fill(p, run)); err != nil {
			return err
		}
	}
	if script.Hold {
		<-ctx.Done()
		return ctx.Err()
	}
	return script.End
}

func (s *Scripted) fill(p ingest.Packet, run int) ingest.Packet {
	if p.Stream == "" {
		p.Stream = s.Stream
	}
	if p.Epoch == "" {
		p.Epoch = fmt.Sprintf("scripted-%d", run)
	}
	if p.Codec == "" {
		p.Codec = ingest.H264
	}
	if p.Captured.IsZero() {
		p.Captured = start.Add(p.PTS)
	}
	if p.Clock.Source == "" {
		p.Clock.Source = ingest.ClockFile
	}
	return p
}

// Parameter sets of the H264 packets: baseline, 1920×1080.
var (
	SPS = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	PPS = []byte{0x68, 0xce, 0x3c, 0x80}
)

// H264 makes n access units in H.264's clothes, step apart, each gop-th of them a
// keyframe and every other one in between disposable. They have headers and no
// picture: enough for everything in front of a decoder. The unit's number stands
// in its last bytes.
func H264(n, gop int, step time.Duration) []ingest.Packet {
	packets := make([]ingest.Packet, n)
	for i := range packets {
		p := ingest.Packet{Codec: ingest.H264, PTS: time.Duration(i) * step, Duration: step}
		switch at := i % gop; {
		case at == 0:
			p.Keyframe = true
			p.Data = annexB(SPS, PPS, slice(0x65, 6000, i))
		case at%2 == 1:
			p.Disposable = true
			p.Data = annexB(slice(0x01, 900, i))
		default:
			p.Data = annexB(slice(0x41, 2500, i))
		}
		packets[i] = p
	}
	return packets
}

func annexB(nals ...[]byte) []byte {
	var data []byte
	for _, nal := range nals {
		data = append(append(data, 0, 0, 0, 1), nal...)
	}
	return data
}

// slice is a NAL unit that says it begins with the first macroblock.
func slice(header byte, size, number int) []byte {
	nal := make([]byte, size)
	for i := range nal {
		nal[i] = byte(1 + i%251)
	}
	nal[0], nal[1] = header, 0x88
	copy(nal[size-8:], fmt.Sprintf("#%06d.", number))
	return nal
}
