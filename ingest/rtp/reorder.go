package rtp

import (
	"time"

	"github.com/pion/rtp"
)

const (
	// reorderWait is how long a missing packet is waited for: time enough for one
	// retransmission over a slow path.
	reorderWait = 150 * time.Millisecond
	// reorderMax bounds how many packets wait behind a gap.
	reorderMax = 512
)

// Reorderer puts the packets of an unreliable path back into sequence. A gap
// holds what follows it until it is filled, or until it has lasted too long; the
// gap then stays, for the Depacketizer to see. It is used by one goroutine.
type Reorderer struct {
	started bool
	next    uint16
	waiting map[uint16]held
	oldest  time.Time // arrival of the first packet behind the gap
}

type held struct {
	packet  *rtp.Packet
	arrival time.Time
}

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
	case ahead < 0 && ahead >= -lateWindow:
		return nil // given up, or a repetition
	case ahead < 0 || ahead > reorderMax:
		// The sender counts anew: nothing that waits will be joined.
		if err := r.release(yield, 0); err != nil {
			return err
		}
		r.next = packet.SequenceNumber
	}
	if len(r.waiting) == 0 {
		r.oldest = arrival
	}
	r.waiting[packet.SequenceNumber] = held{packet, arrival}
	if err := r.run(yield); err != nil {
		return err
	}
	for len(r.waiting) > 0 && arrival.Sub(r.oldest) > reorderWait {
		if err := r.release(yield, len(r.waiting)-1); err != nil {
			return err
		}
		if err := r.run(yield); err != nil {
			return err
		}
	}
	return nil
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
			r.next++
		}
		if err := r.run(yield); err != nil {
			return err
		}
	}
	return nil
}
