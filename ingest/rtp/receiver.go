package rtp

import (
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"sightline/ingest"
)

// Receiver turns the RTP packets of one epoch into ingest.Packets: from the
// first keyframe on, with presentation and capture times. Push is used by one
// goroutine; the other methods by any.
type Receiver struct {
	stream, epoch string
	codec         ingest.Codec
	units         *Depacketizer
	timeline      *ingest.Timeline
	extensions    extensions

	running  bool // the first keyframe was handed out
	lost     bool // something was since the latest packet handed out
	withheld atomic.Uint64
	dropped  atomic.Uint64
}

// NewReceiver starts an epoch. rate is the RTP clock's, in ticks a second;
// params are parameter sets from the session description, if any.
func NewReceiver(stream, epoch string, codec ingest.Codec, rate int, params [][]byte) (*Receiver, error) {
	units, err := New(codec, params)
	if err != nil {
		return nil, err
	}
	return &Receiver{
		stream: stream, epoch: epoch, codec: codec,
		units: units, timeline: ingest.NewTimeline(rate),
	}, nil
}

// Push takes the next RTP packet, which it keeps, and calls emit for each access
// unit that becomes complete. It returns emit's error.
func (r *Receiver) Push(packet *rtp.Packet, arrival time.Time, emit func(ingest.Packet) error) error {
	if captured, source, ok := r.extensions.captured(&packet.Header); ok {
		r.timeline.Stamped(source, captured, packet.Timestamp, arrival)
	}
	err := r.units.Push(packet, arrival, func(u Unit) error { return r.place(u, emit) })
	r.dropped.Store(r.units.Dropped())
	return err
}

// Report takes a sender report on the stream.
func (r *Receiver) Report(sr *rtcp.SenderReport, arrival time.Time) {
	if sr.NTPTime != 0 { // 0: the sender knows no wall time
		r.timeline.Report(FromNTP(sr.NTPTime), sr.RTPTime, arrival)
	}
}

// SetExtensions says which RTP header extensions the session negotiated: their
// ids and URIs. It keeps nothing of ids. Those known are used: AbsCaptureTime.
// ONVIF's replay header needs no negotiation.
func (r *Receiver) SetExtensions(ids map[uint8]string) { r.extensions.set(ids) }

// Withheld is how many access units came that nothing can be decoded from: those
// before the first keyframe, and leading pictures that refer to such.
func (r *Receiver) Withheld() uint64 { return r.withheld.Load() }

// Losses is what was missing in the sequence of packets, and how many of them had
// a header extension that holds no time stamp of its form.
func (r *Receiver) Losses() ingest.Losses {
	losses := r.units.Losses()
	losses.Malformed = r.extensions.malformed.Load()
	return losses
}

// Dropped is how many access units were lost in part and thrown away.
func (r *Receiver) Dropped() uint64 { return r.dropped.Load() }

func (r *Receiver) place(u Unit, emit func(ingest.Packet) error) error {
	if !r.running && !u.Keyframe {
		r.withheld.Add(1)
		return nil
	}
	first := !r.running
	r.running = true
	at := r.timeline.At(u.Timestamp, u.Received)
	r.lost = !first && (r.lost || u.Break || at.Jump)
	if at.PTS < 0 {
		r.withheld.Add(1)
		return nil
	}
	broken := r.lost
	r.lost = false
	return emit(ingest.Packet{
		Stream: r.stream, Epoch: r.epoch, Codec: r.codec,
		Data: u.Data,
		PTS:  at.PTS, Captured: at.Captured, Received: u.Received.UTC(), Clock: at.Clock,
		Keyframe: u.Keyframe, Disposable: u.Disposable,
		Break: broken,
	})
}
