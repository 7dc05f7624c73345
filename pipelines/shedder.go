package pipelines

import (
	"sync"
	"time"
)

// shedder turns how late packets reach their decoders into the share of each
// group of pictures that is decoded: the same for every live stream, so overload
// is shared fairly. It is a PI controller. It sheds more while packets are late,
// but only as long as no core is idle: where keyframes come together, packets are
// late in the first half of a group and cores idle in the second, and shedding
// would cost throughput and gain nothing.
type shedder struct {
	now  func() time.Time
	idle func() time.Duration // how long cores had nothing to do, up to now

	mu       sync.Mutex
	integral float64
	keep     float64
	last     time.Time
	idled    time.Duration // at last
	idleMean float64       // cores, over about a group of pictures
	lag      time.Duration // sum since last
	packets  int
}

const (
	lagTarget    = 120 * time.Millisecond
	lagPeriod    = 250 * time.Millisecond
	idleTarget   = 0.1  // cores
	idleMemory   = 2.0  // seconds
	gainLag      = 0.2  // share per second of lag
	gainIntegral = 0.04 // share per second of lag and second
	gainIdle     = 0.4  // seconds of lag that an idle core counts for
	keepLeast    = 0.05
)

func newShedder(now func() time.Time, idle func() time.Duration) *shedder {
	return &shedder{now: now, idle: idle, integral: 1, keep: 1, last: now()}
}

// Keep is the share of each group of pictures to decode, 1 without overload and
// for streams without a shedder.
func (s *shedder) Keep() float64 {
	if s == nil {
		return 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep
}

// observe takes the lag of a packet that is about to be decoded.
func (s *shedder) observe(lag time.Duration) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag += lag
	s.packets++
	now := s.now()
	dt := now.Sub(s.last).Seconds()
	if dt < lagPeriod.Seconds() {
		return
	}
	idled := s.idle()
	weight := min(1, dt/idleMemory)
	s.idleMean += weight * ((idled-s.idled).Seconds()/dt - s.idleMean)
	over := (s.lag/time.Duration(s.packets) - lagTarget).Seconds()
	if s.idleMean > idleTarget {
		over = min(over, (idleTarget-s.idleMean)*gainIdle)
	}
	s.last, s.idled, s.lag, s.packets = now, idled, 0, 0
	s.integral = min(1, max(keepLeast, s.integral-gainIntegral*over*min(dt, 2)))
	s.keep = min(1, max(keepLeast, s.integral-gainLag*over))
}
