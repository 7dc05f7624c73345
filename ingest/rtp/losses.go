package rtp

import (
	"sync/atomic"

	"sightline/ingest"
)

// maxGap is how many packets may be missing at once before the sender is taken to
// have begun to count anew (MAX_DROPOUT of RFC 3550, A.1).
const maxGap = 3000

// lossCount counts what did not fit into the sequence.
type lossCount struct{ lost, late, repeated, restarts atomic.Uint64 }

func (c *lossCount) load() ingest.Losses {
	return ingest.Losses{
		Lost: c.lost.Load(), Late: c.late.Load(),
		Repeated: c.repeated.Load(), Restarts: c.restarts.Load(),
	}
}

// LossesWith is what was lost on a path where order put packets back into the sequence
// that r took them in. A gap that lasts shows to both, so that r's count of it is
// the one that holds; what came late or twice reached order only. Any goroutine may
// ask.
func (r *Receiver) LossesWith(order *Reorderer) ingest.Losses {
	before := order.Losses()
	return r.Losses().Plus(ingest.Losses{Late: before.Late, Repeated: before.Repeated})
}
