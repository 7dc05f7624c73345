package rtp

import "sync/atomic"

// maxGap is how many packets may be missing at once before the sender is taken to
// have begun to count anew (MAX_DROPOUT of RFC 3550, A.1).
const maxGap = 3000

// Losses is what did not fit into the sequence, in packets.
type Losses struct {
	Missing  uint64 // never came, or too late
	Late     uint64 // came too late, or a second time after their place was passed
	Repeated uint64 // came a second time while waiting
	Restarts uint64 // times that the sender began to count anew
}

// lossCount counts Losses.
type lossCount struct{ missing, late, repeated, restarts atomic.Uint64 }

func (c *lossCount) load() Losses {
	return Losses{
		Missing: c.missing.Load(), Late: c.late.Load(),
		Repeated: c.repeated.Load(), Restarts: c.restarts.Load(),
	}
}
