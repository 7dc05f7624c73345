// Package rtp is what live sources share: access units from RTP packets, with
// loss made visible, and their presentation and capture times.
package rtp

import (
	"fmt"
	"time"

	"github.com/pion/rtp"

	"sightline/ingest"
)

const (
	// maxUnit bounds one access unit, and maxPackets the packets that it comes in,
	// which cost memory however little is in them; beyond it is thrown away.
	maxUnit    = 8 << 20
	maxPackets = 1 << 14
	// lateWindow is how far behind a packet may be and still count as late or
	// repeated rather than as a sender that started to count anew.
	lateWindow = 512
)

// Unit is one complete access unit.
type Unit struct {
	Timestamp  uint32 // RTP time
	Data       []byte // as ingest.Packet wants it, ingest.PacketPadding zero bytes beyond its length
	Received   time.Time
	Keyframe   bool
	Disposable bool
	Break      bool // packets or a unit were lost since the previous Unit
}

// unpacker turns the packets of one access unit into a Unit's data. It returns
// errEmpty when they hold no picture, and another error when they do not fit
// together. headless says that packets before the first one were lost, so that
// the unit is good only if it plainly starts with its own first bytes.
type unpacker interface {
	unpack(packets []*rtp.Packet, headless bool) (Unit, error)
}

// Depacketizer collects the RTP packets of one stream into access units. A unit
// with a missing packet is never handed out; the next good one has Break set.
// It is used by one goroutine.
type Depacketizer struct {
	unpacker unpacker

	packets  []*rtp.Packet // of the unit being collected
	size     int
	received time.Time // arrival of the latest of packets
	headless bool      // packets were lost just before the first of packets
	torn     bool      // packets were lost or thrown away within the unit

	broken  bool // something was lost since the latest Unit
	started bool
	next    uint16
	behind  int // packets in a row that came for a place passed by
	losses  lossCount
	dropped uint64
}

// New makes a Depacketizer for codec. params are parameter sets known from the
// session description, without start codes; they go in front of keyframes that
// come without their own.
func New(codec ingest.Codec, params [][]byte) (*Depacketizer, error) {
	d := &Depacketizer{}
	switch codec {
	case ingest.H264:
		d.unpacker = newH264(params)
	case ingest.H265:
		d.unpacker = newH265(params)
	case ingest.VP8:
		d.unpacker = vp8Unpacker{}
	case ingest.VP9:
		d.unpacker = vp9Unpacker{}
	case ingest.AV1:
		d.unpacker = &av1Unpacker{}
	case ingest.MJPEG:
		d.unpacker = mjpegUnpacker{}
	default:
		return nil, fmt.Errorf("no RTP payload format known for codec %q", codec)
	}
	return d, nil
}

// Dropped is how many units were thrown away because a part was missing or bad.
// Units of which not one packet came are not counted: nobody knows how many.
func (d *Depacketizer) Dropped() uint64 { return d.dropped }

// Losses is what was lost so far. Any goroutine may ask.
func (d *Depacketizer) Losses() ingest.Losses { return d.losses.load() }

// Push takes the next packet in sequence order, as far as the transport could
// restore it, and calls yield for each unit that it completes. It keeps packet.
func (d *Depacketizer) Push(packet *rtp.Packet, arrival time.Time, yield func(Unit) error) error {
	gap, late := d.sequence(packet.SequenceNumber)
	if late {
		return nil
	}
	if len(d.packets) > 0 && d.packets[0].Timestamp != packet.Timestamp {
		// The sender does not mark the last packet of a unit, or it was lost.
		d.torn = d.torn || gap
		if err := d.finish(yield); err != nil {
			return err
		}
	}
	switch {
	case len(d.packets) == 0:
		d.headless, d.torn, d.size = gap, false, 0
	case gap:
		d.torn = true
	}
	d.size += len(packet.Payload)
	if d.size > maxUnit || len(d.packets) == maxPackets {
		// The first packet stays: its stamp tells where the unit ends.
		d.torn = true
		first := min(len(d.packets), 1)
		clear(d.packets[first:])
		d.packets = d.packets[:first] // not lost: the unit is torn, and the next one carries Break
	}
	d.packets, d.received = append(d.packets, packet), arrival
	if packet.Marker {
		return d.finish(yield)
	}
	return nil
}

// sequence says whether packets before seq are missing, and whether seq is late.
// A number that stays behind for long is where the sender counts now.
func (d *Depacketizer) sequence(seq uint16) (gap, late bool) {
	ahead := int16(seq - d.next)
	behind := d.started && ahead < 0 && ahead >= -lateWindow
	if behind && d.behind < lateWindow {
		d.behind++
		d.losses.late.Add(1)
		return false, true
	}
	switch {
	case !d.started:
	case ahead < 0 || ahead > maxGap:
		d.losses.restarts.Add(1)
		gap = true
	case ahead > 0:
		d.losses.lost.Add(uint64(ahead))
		gap = true
	}
	d.started, d.next, d.behind = true, seq+1, 0
	d.broken = d.broken || gap
	return gap, false
}

// finish hands out the collected unit, or counts it as dropped.
func (d *Depacketizer) finish(yield func(Unit) error) error {
	packets := d.packets
	d.packets = d.packets[:0]
	defer clear(packets)
	if d.torn {
		d.drop()
		return nil
	}
	unit, err := d.unpacker.unpack(packets, d.headless)
	switch {
	case err == errEmpty:
		return nil
	case err != nil:
		d.drop()
		return nil
	}
	unit.Timestamp, unit.Received, unit.Break = packets[0].Timestamp, d.received, d.broken
	d.broken = false
	return yield(unit)
}

func (d *Depacketizer) drop() {
	d.broken = true
	d.dropped++
}
