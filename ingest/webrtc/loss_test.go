package webrtc_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/webrtc"
)

// lossy is the path from a publisher: it loses what drop says. Nearest to the
// network, it sees retransmissions too.
type lossy struct {
	interceptor.NoOp
	mu   sync.Mutex
	base uint16 // the first packet's sequence number
	sent int
	drop func(sent int, sinceFirst uint16) bool
}

func (l *lossy) NewInterceptor(string) (interceptor.Interceptor, error) { return l, nil }

func (l *lossy) BindLocalStream(_ *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		l.mu.Lock()
		if l.sent == 0 {
			l.base = h.SequenceNumber
		}
		l.sent++
		lost := l.drop(l.sent, h.SequenceNumber-l.base)
		l.mu.Unlock()
		if lost {
			return len(payload), nil
		}
		return next.Write(h, payload, a)
	})
}

// interceptors are Pion's own behind the path.
func (l *lossy) interceptors(engine *pion.MediaEngine) *interceptor.Registry {
	registry := &interceptor.Registry{}
	registry.Add(l)
	if err := pion.RegisterDefaultInterceptors(engine, registry); err != nil {
		panic(err)
	}
	return registry
}

// receive takes n packets over a lossy path and counts breaks, beside the source's
// own count of packets.
func receive(t *testing.T, n int, drop func(sent int, sinceFirst uint16) bool) (p *publisher, breaks int, lost ingest.Losses) {
	t.Helper()
	source := newSource(nil)
	p = newPublisher(endpoint(t, source), h264)
	p.interceptors = (&lossy{drop: drop}).interceptors
	intact := map[string]bool{}
	for _, f := range p.frames {
		intact[string(f.Data)] = true
	}
	p.start(t)
	var last ingest.Packet
	for i, got := range take(t, source, n) {
		if !intact[string(got.Data)] {
			t.Fatalf("packet %d is no access unit that was sent", i)
		}
		if gap := got.PTS - last.PTS; i > 0 && !got.Break && gap > frameTime+time.Millisecond {
			t.Fatalf("packet %d comes %v after the one before, without a break", i, gap)
		}
		if last = got; got.Break {
			breaks++
		}
	}
	return p, breaks, source.Losses()
}

func TestRetransmissionsHideLoss(t *testing.T) {
	if _, breaks, lost := receive(t, 200, func(sent int, _ uint16) bool { return sent%29 == 0 }); breaks > 0 || lost.Lost > 0 {
		t.Errorf("%d breaks at a loss of 1 in 29, %+v", breaks, lost)
	}
}

func TestLossBeyondRepairShows(t *testing.T) {
	p, breaks, lost := receive(t, 200, func(_ int, sinceFirst uint16) bool { return sinceFirst >= 150 && sinceFirst < 153 })
	if breaks != 1 || lost.Lost != 3 {
		t.Errorf("%d breaks after one hole of three packets, %+v", breaks, lost)
	}
	if asked := p.keyframes.Load(); asked < 2 {
		t.Errorf("asked for %d keyframes, want one at the start and one after the hole", asked)
	}
}

// An encoder that takes no notice of PLI is asked more strictly, and no one is
// asked all the time, nor once the keyframe is there.
func TestKeyframesAreAskedForUntilTheyCome(t *testing.T) {
	source := newSource(nil)
	p := newPublisher(endpoint(t, source), h264)
	path := &lossy{drop: func(_ int, sinceFirst uint16) bool { return sinceFirst >= 60 && sinceFirst < 63 }}
	p.interceptors = path.interceptors
	frames := ingesttest.H264(200, 200, frameTime) // one keyframe
	var mu sync.Mutex
	var plis, firs []time.Time
	key, answered := true, time.Time{} // the first picture is one
	p.onKeyframe = func() {
		mu.Lock()
		defer mu.Unlock()
		plis = append(plis, time.Now())
	}
	p.onFIR = func() {
		mu.Lock()
		defer mu.Unlock()
		if firs = append(firs, time.Now()); answered.IsZero() {
			key, answered = true, time.Now()
		}
	}
	p.next = func(i int) []byte {
		mu.Lock()
		defer mu.Unlock()
		if key {
			key = false
			return frames[0].Data
		}
		return frames[1+i%199].Data
	}
	packets, _ := runInBackground(t, source)
	goLive(t, p)
	broken := false
	for {
		got := waitFor(t, "packet", packets)
		if broken = broken || got.Break; broken && got.Keyframe {
			break
		}
	}
	<-time.After(3 * time.Second / 2) // time for two more requests, which must not come
	mu.Lock()
	defer mu.Unlock()
	before := 0
	for i, at := range plis {
		if at.Before(firs[0]) {
			before++
		}
		if i > 0 && at.Sub(plis[i-1]) < 400*time.Millisecond {
			t.Errorf("asked again after %v", at.Sub(plis[i-1]))
		}
		if late := at.Sub(answered); late > 200*time.Millisecond {
			t.Errorf("asked %v after the keyframe", late)
		}
	}
	if len(firs) != 1 || before < 3 || before > 5 {
		t.Errorf("%d requests by PLI before %d by FIR", before, len(firs))
	}
}

// A publisher that goes on sending, but no pictures, is not there.
func TestMediaWithoutPicturesEnds(t *testing.T) {
	source := newSource(func(c *webrtc.Config) { c.Timeout, c.KeyframeTimeout = time.Second, time.Second })
	p := newPublisher(endpoint(t, source), h264)
	p.next = func(i int) []byte {
		if i < 50 {
			return p.frames[i].Data
		}
		return []byte{0, 0, 0, 1, 6, 5, 1, 0, 0x80} // what stands beside pictures
	}
	packets, ended := runInBackground(t, source)
	goLive(t, p)
	waitFor(t, "packet", packets)
	if err := waitFor(t, "end", ended); ingest.ReasonOf(err) != ingest.ReasonDamaged {
		t.Errorf("%v is %s", err, ingest.ReasonOf(err))
	}
}
