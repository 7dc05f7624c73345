package webrtc

import (
	"sync"

	"sightline/ingest"
)

// runs is what Source and Puller know of their one Run. Its methods may be called
// from any goroutine.
type runs struct {
	mu      sync.Mutex
	running bool
	current *session      // nil while there is none
	lost    ingest.Losses // in sessions before it
}

// begin says whether there is no other Run.
func (r *runs) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		return false
	}
	r.running = true
	return true
}

func (r *runs) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
}

func (r *runs) set(current *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = r.lost.Plus(r.current.losses())
	r.current = current
}

func (r *runs) session() *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// Losses implements ingest.LossReporter. What was sent again in time counts for
// nothing.
func (r *runs) Losses() ingest.Losses {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost.Plus(r.current.losses())
}

// RequestKeyframe implements ingest.KeyframeRequester.
func (r *runs) RequestKeyframe() {
	if c := r.session(); c != nil {
		c.keys.wantNow()
	}
}
