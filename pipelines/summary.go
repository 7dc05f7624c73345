package pipelines

import (
	"maps"
	"math"
	"sync"
	"time"

	"sightline/detect"
	"sightline/pipelines/tally"
)

// Summary is what a pipeline did, over all streams.
type Summary struct {
	Received     uint64                 `json:"received"` // access units
	Decoded      uint64                 `json:"decoded"`
	Inferred     uint64                 `json:"inferred"`
	Undecoded    map[string]uint64      `json:"undecoded"` // by reason
	Skipped      map[string]uint64      `json:"skipped"`   // by reason
	Events       map[detect.Type]uint64 `json:"events"`
	Acknowledged uint64                 `json:"acknowledged"` // by all sinks
	Lost         uint64                 `json:"lost"`         // given up by all sinks
	LatencyP50   time.Duration          `json:"latency_p50"`  // capture to acknowledgment, live streams
	LatencyP95   time.Duration          `json:"latency_p95"`
	Spent        Spent                  `json:"spent"`
}

// Spent is the time that cores were given to each stage.
type Spent struct {
	Decode     time.Duration `json:"decode"`
	Preprocess time.Duration `json:"preprocess"`
	Infer      time.Duration `json:"infer"`
}

// Summary adds up what has happened so far.
func (p *Pipeline) Summary() Summary {
	out := Summary{Undecoded: map[string]uint64{}, Skipped: map[string]uint64{}}
	for _, s := range p.streams {
		l := s.ledger.snapshot()
		out.Received += l.Received
		out.Decoded += l.Decoded
		out.Inferred += l.Inferred
		for k, v := range l.Undecoded {
			out.Undecoded[k] += v
		}
		for k, v := range l.Skipped {
			out.Skipped[k] += v
		}
	}
	for _, o := range p.outlets {
		out.Lost += o.Lost()
		out.Acknowledged += o.Total().Acknowledged
	}
	out.Events = p.counts.snapshot()
	out.LatencyP50, out.LatencyP95 = p.latency.Quantile(0.5), p.latency.Quantile(0.95)
	out.Spent.Decode, out.Spent.Preprocess, out.Spent.Infer = p.gate.spent()
	return out
}

// Tally is what the events made so far add up to. None is missed, whatever becomes of
// them on their way to a sink.
func (p *Pipeline) Tally() map[tally.Key]float64 { return p.tally.Numbers() }

// eventCounts counts events by type as they are made.
type eventCounts struct {
	mu sync.Mutex
	n  map[detect.Type]uint64
}

func (c *eventCounts) event(t detect.Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[detect.Type]uint64{}
	}
	c.n[t]++
}

func (c *eventCounts) snapshot() map[detect.Type]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// Histogram holds durations from 10 µs to about 20 minutes in buckets 5 % wide.
type Histogram struct {
	mu      sync.Mutex
	buckets [histogramBuckets]uint64
	n       uint64
	total   time.Duration
}

const (
	histogramBuckets = 380
	histogramLeast   = 10e-6
	histogramGrowth  = 1.05
)

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	i := 0
	if s := d.Seconds(); s > histogramLeast {
		i = min(histogramBuckets-1, 1+int(math.Log(s/histogramLeast)/math.Log(histogramGrowth)))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buckets[i]++
	h.n++
	h.total += d
}

// Count is how many durations were added, and their sum.
func (h *Histogram) Count() (uint64, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n, h.total
}

// Quantile is the upper bound of the bucket that holds the q-quantile, 0 when
// nothing was added.
func (h *Histogram) Quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	rank := uint64(math.Ceil(q * float64(h.n)))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(histogramLeast * math.Pow(histogramGrowth, float64(i)) * 1e9)
		}
	}
	return 0
}
