package rtp

import (
	"time"

	"github.com/pion/rtp"

	"sightline/ingest"
)

// What waits behind a gap is bounded thrice. Beyond any bound the gap is given up.
const (
	// reorderWait is how long a missing packet is waited for: time enough for one
	// retransmission over a slow path.
	reorderWait = 150 * time.Millisecond
	// reorderMax bounds how many packets wait behind a gap.
	reorderMax = 512
	// reorderBytes bounds what they hold.
	reorderBytes = 4 << 20
)

// Reorderer puts the packets of an unreliable path back into sequence. A gap
// holds what follows it until it is filled, or until it has lasted too long; the
// gap then stays, for the Depacketizer to see. Push is used by one goroutine,
// Losses by any.
type Reorderer struct {
	started bool
	next    uint16
	waiting map[uint16]held
	bytes   int       // of the payloads that wait
	oldest  time.Time // arrival of the first packet behind the gap
	behind  int       // packets in a row that came for a place passed by

	losses lossCount
}

type held struct {
	packet  *rtp.Packet
	arrival time.Time
}

// Losses is what was lost so far.
func (r *Reorderer) Losses() ingest.Losses { return r.losses.load() }

// Push takes the next packet as it arrived and calls yield, in sequence, for
// every packet that need not wait any longer, with its own arrival.
func (r *Reorderer) Push(packet *rtp.Packet, arrival time.Time, yield func(*rtp.Packet, time.Time) error) error {
	if r.waiting == nil {
		r.waiting = map[uint16]held{}
	}
	ahead := int16(packet.SequenceNumber - r.next)
	switch {
	case !r.started:
		r.started, r.next = true, packet.SequenceNumber
	case ahead < 0 && ahead >= -lateWindow && r.behind < lateWindow:
		r.behind++
		r.losses.late.Add(1)
		return nil // given up, or a repetition
	case ahead < 0 || ahead > reorderMax:
		// The sender counts anew: nothing that waits will be joined.
		r.losses.restarts.Add(1)
		if err := r.release(yield, 0); err != nil {
			return err
		}
		r.next = packet.SequenceNumber
	}
	r.behind = 0
	r.hold(held{packet, arrival})
	if err := r.run(yield); err != nil {
		return err
	}
	for len(r.waiting) > 0 && (arrival.Sub(r.oldest) > reorderWait || r.bytes > reorderBytes) {
		if err := r.release(yield, len(r.waiting)-1); err != nil {
			return err
		}
	}
	return nil
}

// hold lets a packet wait.
func (r *Reorderer) hold(h held) {
	if _, twice := r.waiting[h.packet.SequenceNumber]; twice {
		r.losses.repeated.Add(1)
		return
	}
	if len(r.waiting) == 0 {
		r.oldest = h.arrival
	}
	r.bytes += len(h.packet.Payload)
	r.waiting[h.packet.SequenceNumber] = h
}

// run yields what is next without a gap.
func (r *Reorderer) run(yield func(*rtp.Packet, time.Time) error) error {
	moved := false
	for {
		h, ok := r.waiting[r.next]
		if !ok {
			break
		}
		moved = true
		delete(r.waiting, r.next)
		r.bytes -= len(h.packet.Payload)
		r.next++
		if err := yield(h.packet, h.arrival); err != nil {
			return err
		}
	}
	if moved {
		r.oldest = time.Time{}
		for _, h := range r.waiting {
			if r.oldest.IsZero() || h.arrival.Before(r.oldest) {
				r.oldest = h.arrival
			}
		}
	}
	return nil
}

// release jumps over gaps until no more than keep packets wait.
func (r *Reorderer) release(yield func(*rtp.Packet, time.Time) error, keep int) error {
	for len(r.waiting) > keep {
		for _, ok := r.waiting[r.next]; !ok; _, ok = r.waiting[r.next] {
			r.losses.lost.Add(1)
			r.next++
		}
		if err := r.run(yield); err != nil {
			return err
		}
	}
	return nil
}
