package pipelines

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/detect/onnx"
	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/pipelines/spec"
)

// marking is a decoder that marks the pictures of packets as damaged from a break
// until the next keyframe, as real ones do.
type marking struct {
	*fakeDecoder
	damaged bool
}

func (d *marking) Decode(p ingest.Packet, emit func(*decode.Frame) error) error {
	d.damaged = (d.damaged || p.Break) && !p.Keyframe
	return d.fakeDecoder.Decode(p, func(f *decode.Frame) error {
		f.Damaged = d.damaged
		return emit(f)
	})
}

// asked notes when a keyframe is asked for.
type asked struct {
	ingest.Source
	times []time.Time
}

func (a *asked) RequestKeyframe() { a.times = append(a.times, time.Now()) }

// analyzing lets a stream of fakes infer every picture, on an engine of fakes.
func analyzing(t *testing.T, s *stream, engine *fakeEngine) (stop func()) {
	s.shapes.failed = func(error) {}
	s.shapes.session = &fakeSizes{ready: map[onnx.Shape]bool{first: true}}
	s.gate = newGate(2, 1, threadTime)
	s.batcher = newBatcher(engine.open, s.gate, 1)
	s.lane.deliver = s.analyst.deliver
	s.lane.replace = func(*row) { s.ledger.skip("replaced") }
	s.sampler = newGridSampler(0, SkipNone, nil)
	s.analyst.sampler = s.sampler
	done := make(chan struct{})
	go func() { s.batcher.work(); close(done) }()
	return func() { s.batcher.close(); <-done }
}

// broken are packets of a camera at ten pictures a second, a keyframe every two
// seconds, that loses something before the packets numbered.
func broken(seconds int, lost ...int) []ingest.Packet {
	packets := ingesttest.H264(10*seconds, 20, 100*time.Millisecond)
	for _, n := range lost {
		packets[n].Break = true
	}
	return packets
}

func heardOf(f *fakeAnalysis, prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, what := range f.got {
		if strings.HasPrefix(what, prefix) {
			n++
		}
	}
	return n
}

func TestDamagedPicturesAreWithheld(t *testing.T) {
	for _, hold := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			source := &asked{Source: &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
				{Packets: broken(10, 25, 31, 60), Paced: true, Hold: true},
			}}}
			d := &fakeDecoder{}
			s, fake := newTestStream(t, true, source, d)
			s.decoder, s.hold = &marking{fakeDecoder: d}, hold
			stop := analyzing(t, s, &fakeEngine{})
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
			defer cancel()
			if err := s.run(ctx); err != nil {
				t.Error(err)
			}
			stop()
			l := settledLedger(t, s)
			// 25 to 39 refer to what was lost; 60 is a keyframe, and whole.
			if hold && (l.Skipped[damaged] != 15 || l.Inferred != 85) || !hold && l.Inferred != 100 {
				t.Errorf("hold %v: %+v", hold, l)
			}
			if n := heardOf(fake, "degraded"); n > 0 {
				t.Errorf("hold %v: three losses are no reason to call a stream damaged: %q", hold, fake.got)
			}
			lost := s.status.snapshot().LostSeconds
			if want := 1.6; hold && (lost < want-0.01 || lost > want+0.01) {
				t.Errorf("%.2f s lost, want %.2f", lost, want)
			}
			// Asked at once, and again a second later: then the keyframe came.
			var when []time.Duration
			for _, at := range source.times {
				when = append(when, at.Sub(begin))
			}
			if want := []time.Duration{2500 * time.Millisecond, 3500 * time.Millisecond}; !slices.Equal(when, want) {
				t.Errorf("hold %v: keyframes asked for at %v, want %v", hold, when, want)
			}
		})
	}
}

// TestAStreamThatLosesTooMuchIsTold once a minute for as long as it does.
func TestAStreamThatLosesTooMuchIsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		every int // packets between losses, during the first three minutes of five
		least int
		most  int
	}{{"one a minute", 600, 0, 0}, {"one in seven seconds", 73, 3, 4}, {"all the time", 7, 3, 4}} {
		synctest.Test(t, func(t *testing.T) {
			packets := broken(300)
			for i := c.every - 1; i < 1800; i += c.every {
				packets[i].Break = true
			}
			source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: packets, Paced: true, Hold: true}}}
			d := &fakeDecoder{}
			s, fake := newTestStream(t, true, source, d)
			s.decoder, s.hold = &marking{fakeDecoder: d}, true
			stop := analyzing(t, s, &fakeEngine{})
			ctx, cancel := context.WithTimeout(t.Context(), 301*time.Second)
			defer cancel()
			during := make(chan []string, 1)
			time.AfterFunc(170*time.Second, func() { during <- s.status.snapshot().Degraded })
			if err := s.run(ctx); err != nil {
				t.Error(err)
			}
			stop()
			if n := heardOf(fake, "degraded damaged"); n < c.least || n > c.most {
				t.Errorf("%s: told %d times, want %d to %d", c.name, n, c.least, c.most)
			}
			if n, want := heardOf(fake, "degraded recovered"), min(c.least, 1); n != want {
				t.Errorf("%s: told %d times that it is over, want %d", c.name, n, want)
			}
			if bad := slices.Contains(<-during, damaged); bad != (c.least > 0) {
				t.Errorf("%s: the status says so: %v", c.name, bad)
			}
			if after := s.status.snapshot().Degraded; len(after) > 0 {
				t.Errorf("%s: still %v at the end", c.name, after)
			}
			settledLedger(t, s)
		})
	}
}

// TestNothingIsDecodedForNobody: a stream that is not analyzed is online with its
// first keyframe, and decoded from a keyframe on while somebody watches.
func TestNothingIsDecodedForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &asked{Source: &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
			{Packets: broken(30), Paced: true, Hold: true},
		}}}
		s, fake := newTestStream(t, true, source, &fakeDecoder{})
		s.analyze = false
		var seen []time.Duration
		time.AfterFunc(10*time.Second+50*time.Millisecond, func() {
			sub := s.watch.frames.subscribe(1)
			until := time.After(10 * time.Second)
			for {
				select {
				case f := <-sub.C:
					seen = append(seen, f.PTS)
					f.Release()
				case <-until:
					sub.Close()
					return
				}
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
		defer cancel()
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		l := settledLedger(t, s)
		if l.Decoded != 81 || l.Skipped[noConsumer] != 81 || l.Undecoded[noConsumer] != 219 {
			t.Errorf("%+v", l)
		}
		if len(seen) != 81 || seen[0] != 12*time.Second {
			t.Errorf("who watched from 10 s to 20 s saw %d pictures, from %v", len(seen), seen[0])
		}
		if len(source.times) != 2 {
			t.Errorf("a keyframe was asked for %d times, want at once and after a second", len(source.times))
		}
		if got := news(fake); !slices.Equal(got, []string{"online scripted-1", "offline shutdown"}) {
			t.Errorf("told %q", got)
		}
	})
}

// TestAStuckEngineStallsNoCamera: the source goes on, what comes meanwhile is
// counted, and little is kept.
func TestAStuckEngineStallsNoCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: broken(600), Paced: true, End: failure(ingest.ReasonEnded)}, {Hold: true}}}
		s, _ := newTestStream(t, true, source, &fakeDecoder{})
		stop := analyzing(t, s, &fakeEngine{runTime: 20 * time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 601*time.Second)
		defer cancel()
		finished := make(chan error, 1)
		go func() { finished <- s.run(ctx) }()
		time.Sleep(595*time.Second + 50*time.Millisecond)
		l := s.ledger.snapshot()
		if l.Received < 5940 || l.Decoded != l.Received || l.Skipped["replaced"] < 5900 || l.InFlight > 4 {
			t.Errorf("while the engine hangs: %+v", l)
		}
		time.Sleep(30 * time.Minute) // the engine comes back
		if err := <-finished; err != nil {
			t.Error(err)
		}
		stop()
		settledLedger(t, s)
	})
}

// TestAStuckListenerStallsNoCamera has whoever is told of events hang.
func TestAStuckListenerStallsNoCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: broken(600), Paced: true, Hold: true}}}
		s, _ := newTestStream(t, true, source, &fakeDecoder{})
		stop := analyzing(t, s, &fakeEngine{})
		hang := make(chan struct{})
		s.analyst.emit = func([]detect.Event) { <-hang }
		ctx, cancel := context.WithTimeout(t.Context(), 601*time.Second)
		defer cancel()
		finished := make(chan error, 1)
		go func() { finished <- s.run(ctx) }()
		time.Sleep(595*time.Second + 50*time.Millisecond)
		l := s.ledger.snapshot()
		if l.Received < 5940 || l.Decoded != l.Received || l.InFlight > backlog+4 || l.Skipped["behind"] < 5800 {
			t.Errorf("while the listener hangs: %+v", l)
		}
		close(hang)
		if err := <-finished; err != nil {
			t.Error(err)
		}
		stop()
		if l := settledLedger(t, s); l.Inferred < backlog {
			t.Errorf("what waited is lost: %+v", l)
		}
	})
}

// TestBadPicturesAreTold shows the same picture for a minute, and then others.
func TestBadPicturesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: broken(120), Paced: true, Hold: true}}}
		d := &fakeDecoder{}
		s, fake := newTestStream(t, true, source, d)
		s.decoder = &changing{d}
		var err error
		if s.quality, err = newQuality(spec.Quality{Watch: []string{"frozen"}, For: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 121*time.Second)
		defer cancel()
		during := make(chan []string, 1)
		time.AfterFunc(55*time.Second, func() { during <- s.status.snapshot().Degraded })
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		if n := heardOf(fake, "degraded frozen"); n != 1 || heardOf(fake, "degraded recovered") != 1 || heardOf(fake, "degraded") != 2 {
			t.Errorf("told %q", fake.got)
		}
		if before, after := <-during, s.status.snapshot().Degraded; !slices.Equal(before, []string{"frozen"}) || len(after) > 0 {
			t.Errorf("the status says %v while it lasts, and %v after", before, after)
		}
	})
	if w, err := newQuality(spec.Quality{}); w != nil || err != nil {
		t.Errorf("nothing to watch for: %v, %v", w, err)
	}
}

// changing is a decoder whose pictures change after a minute.
type changing struct{ *fakeDecoder }

func (d *changing) Decode(p ingest.Packet, emit func(*decode.Frame) error) error {
	return d.fakeDecoder.Decode(p, func(f *decode.Frame) error {
		f.Release()
		index := uint64(1)
		if p.PTS > time.Minute {
			index = d.count
		}
		other := decodetest.NewFrame(d.live, 64, 48, index, decodetest.Gradient)
		other.Epoch, other.PTS, other.Captured, other.Keyframe = f.Epoch, f.PTS, f.Captured, p.Keyframe
		return emit(other)
	})
}

// holding is a sampler that never makes up its mind.
type holding struct{ quiet }

func (holding) Packet(PacketInfo) (Decision, string) { return HoldPacket, skippedTail }

// TestWhatIsHeldIsBounded by its number and by its bytes; a keyframe frees it.
func TestWhatIsHeldIsBounded(t *testing.T) {
	for _, size := range []int{100, 3 << 20} {
		d := &fakeDecoder{}
		s, _ := newTestStream(t, true, &ingesttest.Scripted{}, d)
		s.sampler = holding{}
		most := 0
		for i := range 2000 {
			p := ingest.Packet{Epoch: "e", PTS: time.Duration(i) * time.Millisecond, Data: make([]byte, size), Keyframe: i == 0 || i == 1999}
			s.ledger.receive()
			s.packet(p)
			most = max(most, len(s.held.packets))
			if s.held.bytes > heldBytes || most > heldPackets || int(s.heldNow.Load()) != s.held.bytes {
				t.Fatalf("%d packets and %d bytes are held, said to be %d", most, s.held.bytes, s.heldNow.Load())
			}
		}
		if l := s.ledger.snapshot(); len(s.held.packets) != 1 || l.Decoded == 0 || l.Received != l.Decoded+sum(l.Undecoded)+l.InDecoder || l.InDecoder != 1 {
			t.Errorf("%d are held after a keyframe: %+v", len(s.held.packets), l)
		}
	}
}
