package pipelines

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sightline/detect"
)

// TestHistogramQuantiles compares with sorting, over five decades.
func TestHistogramQuantiles(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	r := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var total time.Duration
	for range 10000 {
		d := time.Duration(float64(20*time.Microsecond) * float64(uint64(1)<<r.IntN(20)) * (1 + r.Float64()))
		h.Add(d)
		all = append(all, d)
		total += d
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.999} {
		exact := all[int(q*float64(len(all)))]
		if got := h.Quantile(q); got < exact || float64(got) > 1.06*float64(exact) {
			t.Errorf("quantile %v: %v, exactly %v", q, got, exact)
		}
	}
	if n, sum := h.Count(); n != 10000 || sum != total {
		t.Errorf("%d, %v in all; want 10000, %v", n, sum, total)
	}
	h.Add(-time.Second)
	h.Add(0)
	if got := h.Quantile(0); got > 11*time.Microsecond {
		t.Errorf("least %v", got)
	}
	h.Add(24 * time.Hour) // beyond the last bucket
	if got := h.Quantile(1); got < 15*time.Minute {
		t.Errorf("most %v", got)
	}
}

// TestLedgerSumsHoldAtAnyMoment moves units from several goroutines and looks on.
func TestLedgerSumsHoldAtAnyMoment(t *testing.T) {
	l := newLedger()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				l.receive()
				if i%5 == 0 {
					l.undecode("queue_full", 1)
					continue
				}
				l.decode()
				if i%2 == 0 {
					l.skip("sampled")
				} else {
					l.infer()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	check := func() detect.Ledger {
		s := l.snapshot()
		if s.Received != s.Decoded+sum(s.Undecoded)+s.InDecoder || s.Decoded != s.Inferred+sum(s.Skipped)+s.InFlight {
			t.Fatalf("sums do not hold: %+v", s)
		}
		return s
	}
	for {
		check()
		select {
		case <-done:
			s := check()
			if s.Received != 8000 || s.InDecoder != 0 || s.InFlight != 0 || s.Undecoded["queue_full"] != 1600 || s.Inferred+s.Skipped["sampled"] != 6400 {
				t.Errorf("at the end %+v", s)
			}
			return
		default:
		}
	}
}
