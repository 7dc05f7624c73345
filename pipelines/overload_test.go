package pipelines

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sightline/ingest"
	"sightline/pipelines/packets"
)

// simulation runs the real queue, sampler, shedder and gate of many cameras
// against made-up costs of decoding and inference, in virtual time.
type simulation struct {
	streams       int
	fps, analyzed int
	gop           int // pictures
	decode, infer time.Duration
	cores         int
	length        time.Duration
	offset        time.Duration // between cameras' keyframes
	skip          Skip
}

type simulated struct {
	perStream []int           // inferences in the second half
	latency   []time.Duration // of those
	dropped   map[string]int
}

func (s simulation) run(t *testing.T) simulated {
	t.Helper()
	out := simulated{perStream: make([]int, s.streams), dropped: map[string]int{}}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		g := newGate(s.cores, 0, threadTime)
		shed := newShedder(time.Now, g.idled)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range s.streams {
			q := packets.New(false, func(_ ingest.Packet, reason string) {
				mu.Lock()
				out.dropped[reason]++
				mu.Unlock()
			})
			wg.Go(func() { s.camera(q, time.Duration(i)*s.offset) })
			wg.Go(func() {
				s.consume(q, g, shed, func(reason string, d time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					if reason != "" {
						out.dropped[reason]++
					} else if time.Since(begin) > s.length/2 {
						out.perStream[i]++
						out.latency = append(out.latency, d)
					}
				})
			})
		}
		wg.Wait()
	})
	slices.Sort(out.latency)
	return out
}

func (s simulation) camera(q *packets.Queue, offset time.Duration) {
	time.Sleep(offset)
	step := time.Second / time.Duration(s.fps)
	for k := 0; time.Duration(k)*step < s.length; k++ {
		q.Put(context.Background(), ingest.Packet{
			PTS: time.Duration(k) * step, Duration: step, Received: time.Now(), Keyframe: k%s.gop == 0, Data: make([]byte, 10),
		})
		time.Sleep(step)
	}
	q.Close()
}

func (s simulation) consume(q *packets.Queue, g *gate, shed *shedder, done func(string, time.Duration)) {
	sampler := newGridSampler(float64(s.analyzed), s.skip, shed)
	results := make(chan time.Time, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for received := range results {
			core := g.enter(workInfer, time.Time{})
			time.Sleep(s.infer)
			g.leave(core)
			done("", time.Since(received))
		}
	})
	decode := func(p ingest.Packet) {
		core := g.enter(workLiveDecode, p.Received)
		time.Sleep(s.decode)
		g.leave(core)
		if sampler.Frame(p.PTS, p.Duration) {
			results <- p.Received
		}
	}
	var waiting []ingest.Packet
	for {
		u, ok := q.Take()
		if !ok {
			break
		}
		p := u.Packet
		d, reason := sampler.Packet(PacketInfo{PTS: p.PTS, Duration: p.Duration, Keyframe: p.Keyframe, Lag: time.Since(p.Received)})
		if p.Keyframe || d == SkipUntilKey {
			waiting = nil
		}
		switch d {
		case HoldPacket:
			waiting = append(waiting, p)
		case DecodePacket:
			for _, h := range append(waiting, p) {
				decode(h)
			}
			waiting = nil
		default:
			done(reason, 0)
		}
	}
	close(results)
	wg.Wait()
}

func TestOverloadKeepsThroughputAndFairness(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams int
		offset  time.Duration
		spread  float64
		skip    Skip
	}{
		{"1.4 times, keyframes together", 23, 0, 0.1, SkipNone},
		{"1.4 times, keyframes 37 ms apart", 23, 37 * time.Millisecond, 0.1, SkipNone},
		{"1.4 times, skipping tails", 23, 37 * time.Millisecond, 0.1, SkipAuto},
		{"2.5 times", 40, 37 * time.Millisecond, 0.2, SkipNone},
		{"2.5 times, skipping tails", 40, 37 * time.Millisecond, 0.2, SkipAuto},
		{"1.1 times", 18, 37 * time.Millisecond, 0.1, SkipNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulation{
				streams: c.streams, fps: 25, analyzed: 5, gop: 50, decode: 3600 * time.Microsecond, infer: 7 * time.Millisecond,
				cores: 2, length: 120 * time.Second, offset: c.offset, skip: c.skip,
			}
			got := s.run(t)
			perInference := 5*s.decode + s.infer
			best := float64(s.cores) * s.length.Seconds() / 2 / perInference.Seconds()
			total := 0
			for _, n := range got.perStream {
				total += n
			}
			least, most := slices.Min(got.perStream), slices.Max(got.perStream)
			p95 := got.latency[len(got.latency)*95/100]
			t.Logf("%.0f%% of capacity, %d..%d a stream, p95 %v, dropped %v", 100*float64(total)/best, least, most, p95, got.dropped)
			if float64(total) < 0.9*best {
				t.Errorf("%d inferences, want at least 90%% of %.0f", total, best)
			}
			if float64(most-least) > c.spread*float64(total)/float64(len(got.perStream)) {
				t.Errorf("%d to %d inferences a stream: more than %.0f%% apart", least, most, 100*c.spread)
			}
			if p95 > time.Second {
				t.Errorf("p95 latency %v, want under 1s", p95)
			}
		})
	}
}

func TestNoShedding(t *testing.T) {
	s := simulation{
		streams: 14, fps: 25, analyzed: 5, gop: 50, decode: 3600 * time.Microsecond, infer: 7 * time.Millisecond,
		cores: 2, length: 60 * time.Second, offset: 37 * time.Millisecond, skip: SkipNone,
	}
	got := s.run(t)
	if len(got.dropped) != 0 {
		t.Errorf("dropped %v below capacity", got.dropped)
	}
	for i, n := range got.perStream {
		if n < 147 || n > 153 {
			t.Errorf("stream %d: %d inferences in 30 s, want 150±3", i, n)
		}
	}
}
