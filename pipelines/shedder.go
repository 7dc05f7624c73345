package pipelines

import (
	"sync"
	"time"
)

// shedder turns how late packets reach their decoders into the share of each
// group of pictures that is decoded: the same for every live stream, so overload
// is shared fairly. It is a PI controller on the mean lag; holding a small
// backlog instead of none keeps the cores busy, so shedding costs no throughput.
type shedder struct {
	now func() time.Time

	mu       sync.Mutex
	integral float64
	keep     float64
	last     time.Time
	lag      time.Duration // sum since last
	packets  int
}

// The mean lag rises by load × keep − 1 seconds a second; these gains damp it at
// loads of 1 to 3 although a change shows only over a group of pictures.
const (
	lagTarget    = 250 * time.Millisecond
	lagPeriod    = 500 * time.Millisecond
	gainLag      = 0.25 // share per second of lag
	gainIntegral = 0.03 // share per second of lag and second
	keepLeast    = 0.05
)

func newShedder(now func() time.Time) *shedder {
	return &shedder{now: now, integral: 1, keep: 1, last: now()}
}

// Keep is the share of each group of pictures to decode, 1 without overload.
func (s *shedder) Keep() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep
}

// observe takes the lag of a packet that is about to be decoded.
func (s *shedder) observe(lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag += lag
	s.packets++
	dt := s.now().Sub(s.last)
	if dt < lagPeriod {
		return
	}
	over := (s.lag/time.Duration(s.packets) - lagTarget).Seconds()
	s.last, s.lag, s.packets = s.now(), 0, 0
	s.integral = min(1, max(keepLeast, s.integral-gainIntegral*over*min(dt, 2*time.Second).Seconds()))
	s.keep = min(1, max(keepLeast, s.integral-gainLag*over))
}
