package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/ingesttest"
)

// pulled is a puller of made-up sources with what it told.
type pulled struct {
	*puller
	mu      sync.Mutex
	tries   []string // addresses in the order they were tried
	at      []time.Time
	told    []detect.ReasonInfo
	packets uint64
}

// try is an input whose source is told apart by its address.
func (p *pulled) try(address string, source ingest.Source) *input {
	watched := runFunc(func(ctx context.Context, emit func(ingest.Packet) error) error {
		p.mu.Lock()
		p.tries, p.at = append(p.tries, address), append(p.at, time.Now())
		p.mu.Unlock()
		return source.Run(ctx, emit)
	})
	in := &input{address: address, make: func() (ingest.Source, error) { return watched, nil }}
	in.renew()
	return in
}

func newPulled() *pulled {
	p := &pulled{}
	p.puller = &puller{
		live: true, log: slog.New(slog.DiscardHandler),
		receive: func(context.Context, ingest.Packet) error { p.mu.Lock(); p.packets++; p.mu.Unlock(); return nil },
		use:     func() uint64 { p.mu.Lock(); defer p.mu.Unlock(); return p.packets },
		trouble: func(detect.ReasonInfo) {},
		ended:   func(r detect.ReasonInfo) { p.mu.Lock(); p.told = append(p.told, r); p.mu.Unlock() },
	}
	return p
}

func (p *pulled) codes() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.told {
		out = append(out, r.Code)
	}
	return out
}

type runFunc func(ctx context.Context, emit func(ingest.Packet) error) error

func (f runFunc) Run(ctx context.Context, emit func(ingest.Packet) error) error { return f(ctx, emit) }

func refuses() ingest.Source {
	return &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{End: failure(ingest.ReasonRefused)}}}
}

// TestPauses watches a camera that is away for an hour.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulled()
		p.inputs = []*input{p.try("rtsp://h/1", refuses())}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.run(ctx); err != nil {
			t.Error(err)
		}
		late, apart := 0, map[time.Duration]bool{}
		for i := 1; i < len(p.at); i++ {
			gap, since := p.at[i].Sub(p.at[i-1]), p.at[i-1].Sub(p.at[0])
			limit := time.Second
			if since > 10*time.Minute {
				limit = 30 * time.Second
				late++
				apart[gap] = true
			}
			if gap > limit {
				t.Errorf("a pause of %v %v after the first failure", gap, since)
			}
		}
		if late < 100 || len(apart) < late*9/10 {
			t.Errorf("%d attempts after ten minutes, %d different pauses: no jitter", late, len(apart))
		}
	})
}

// TestFallbacks tries each address in turn, and the first one first again after a
// success.
func TestFallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulled()
		packets := ingesttest.H264(5, 5, 40*time.Millisecond)
		works := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: packets, Paced: true, End: failure(ingest.ReasonEnded)}}}
		p.inputs = []*input{p.try("rtsp://one/***", refuses()), p.try("rtsp://two", refuses()), p.try("rtsp://three", works)}
		var how []detect.ReasonInfo
		receive := p.receive
		p.receive = func(ctx context.Context, pkt ingest.Packet) error {
			if pkt.PTS == 0 {
				how = append(how, *p.online())
			}
			return receive(ctx, pkt)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
		defer cancel()
		if err := p.run(ctx); err != nil {
			t.Error(err)
		}
		want := []string{"rtsp://one/***", "rtsp://two", "rtsp://three", "rtsp://one/***", "rtsp://two", "rtsp://three"}
		if len(p.tries) < 6 || !slices.Equal(p.tries[:6], want) {
			t.Errorf("tried %q, want %q", p.tries, want)
		}
		if got := p.told[0]; got.Code != "refused" || !strings.HasPrefix(got.Message, "rtsp://one/***: ") || got.Attempt != 1 {
			t.Errorf("told first %+v", got)
		}
		if how[0] != (detect.ReasonInfo{Code: "fallback", Message: "rtsp://three", Attempt: 3}) {
			t.Errorf("came online as %+v", how[0])
		}
	})
}

// deaf is a source that never looks at its context. It emits until released, and
// notes what it was told.
type deaf struct {
	release chan struct{}
	emits   int // before it goes deaf
	mu      sync.Mutex
	late    error // of an emit after the release
}

func (d *deaf) Run(_ context.Context, emit func(ingest.Packet) error) error {
	for _, p := range ingesttest.H264(d.emits, 5, 40*time.Millisecond) {
		emit(p)
	}
	<-d.release
	err := emit(ingest.Packet{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late = err
	return err
}

// TestADeafSourceHoldsNobodyUp stops a pipeline's part whose source does not end.
func TestADeafSourceHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := newPulled(), &deaf{release: make(chan struct{}), emits: 3}
		p.inputs = []*input{p.try("rtsp://h/1", d)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.run(ctx); err != nil {
			t.Error(err)
		}
		deadline, _ := ctx.Deadline()
		if took := time.Since(deadline); took > 2*time.Second {
			t.Errorf("it took %v to end", took)
		}
		if s := p.status(); s.Abandoned != 1 || s.Connects != 1 || !slices.Equal(p.codes(), []string{"shutdown"}) {
			t.Errorf("%+v, told %q", s, p.codes())
		}
		close(d.release)
		synctest.Wait()
		if d.late == nil || p.use() != 3 || p.hung.Load() != 0 {
			t.Errorf("a late packet was answered %v, %d came through, %d hang", d.late, p.packets, p.hung.Load())
		}
	})
}

// TestDeafSourcesAreNotHeapedUp fails each connection of a camera whose sources
// never end: others take their place, but not without bound.
func TestDeafSourcesAreNotHeapedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := newPulled(), &deaf{release: make(chan struct{}), emits: 1}
		p.inputs = []*input{p.try("rtsp://h/1", d)}
		receive := p.receive
		p.receive = func(ctx context.Context, pkt ingest.Packet) error {
			p.fail(&ingest.Error{Reason: ingest.ReasonUnsupportedCodec, Err: errors.New("no such decoder")})
			return receive(ctx, pkt)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		ended := make(chan struct{})
		go func() { defer close(ended); p.run(ctx) }()
		time.Sleep(time.Minute)
		if n := p.connects.Load(); n != mostAbandoned {
			t.Errorf("%d connections, want %d", n, mostAbandoned)
		}
		if codes := p.codes(); codes[0] != "unsupported_codec" || codes[len(codes)-1] != "failed" {
			t.Errorf("told %q", codes)
		}
		close(d.release) // they end, each as soon as it is begun
		time.Sleep(time.Minute)
		if n := p.connects.Load(); n < mostAbandoned+20 {
			t.Errorf("%d connections after the first ones have ended", n)
		}
		cancel()
		<-ended
	})
}

// TestASourceThatSaysNothingIsBegunAgain has one that overlooks its own time-out.
func TestASourceThatSaysNothingIsBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulled()
		p.timeout = 10 * time.Second
		packets := ingesttest.H264(100, 5, time.Second)
		p.inputs = []*input{p.try("rtsp://h/1", &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: packets, Paced: true, Hold: true}}})}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		p.run(ctx)
		if len(p.at) != 2 || p.codes()[0] != "timeout" {
			t.Fatalf("begun %d times, told %q", len(p.at), p.codes())
		}
		if after := p.at[1].Sub(p.at[0]); after < 100*time.Second || after > 100*time.Second+2*(p.timeout+silencePatience) {
			t.Errorf("begun again after %v", after)
		}
	})
}

// TestOnDemand reads a camera only while somebody watches, and a little longer.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: ingesttest.H264(4000, 25, 40*time.Millisecond), Paced: true, Hold: true}}}
		s, fake := newTestStream(t, true, source, &fakeDecoder{})
		s.pull.demand = newDemand()
		s.watch.packets.told, s.watch.frames.told = s.pull.demand.add, s.pull.demand.add
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.run(ctx) }()

		time.Sleep(time.Hour)
		if source.Runs() != 0 || len(news(fake)) != 0 {
			t.Errorf("read %d times, told %q, and nobody watches", source.Runs(), news(fake))
		}
		packets, frames := s.watch.packets.subscribe(1), s.watch.frames.subscribe(1)
		time.Sleep(time.Second)
		packets.Close()
		time.Sleep(time.Minute)
		if got := s.status.snapshot().State; got != "online" || source.Runs() != 1 {
			t.Errorf("%s, read %d times, and somebody watches frames", got, source.Runs())
		}
		frames.Close()
		time.Sleep(linger / 2)
		s.watch.packets.subscribe(1).Close() // a short visit begins the wait anew
		time.Sleep(linger - time.Second)
		if got := s.status.snapshot().State; got != "online" {
			t.Errorf("%s too early", got)
		}
		time.Sleep(2 * time.Second)
		if got := s.status.snapshot().State; got != "idle" {
			t.Errorf("%s, and nobody watches", got)
		}
		again := s.watch.packets.subscribe(1)
		time.Sleep(time.Second)
		if got := s.status.snapshot().State; got != "online" || source.Runs() != 2 {
			t.Errorf("%s, read %d times", got, source.Runs())
		}
		cancel()
		<-ended
		again.Close()
		if got := news(fake); !slices.Equal(got, []string{"online scripted-1", "offline idle", "online scripted-2", "offline shutdown"}) {
			t.Errorf("told %q", got)
		}
	})
}

// TestPeopleSeeTheMainStream has a camera of two: the small one is analyzed all
// the time, the large one read while somebody watches.
func TestPeopleSeeTheMainStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		play := func(name string) *ingesttest.Scripted {
			return &ingesttest.Scripted{Stream: name, Scripts: []ingesttest.Script{{Packets: ingesttest.H264(4000, 25, 40*time.Millisecond), Paced: true, Hold: true}}}
		}
		sub, main := play("sub"), play("main")
		s, _ := newTestStream(t, true, sub, &fakeDecoder{})
		s.viewed = newViewed([]*input{{address: "rtsp://h/main", source: main}}, 0, nil, s.log)
		p := &Pipeline{streams: []*stream{s}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.runWith(ctx) }()

		time.Sleep(time.Minute)
		if sub.Runs() != 1 || main.Runs() != 0 || s.viewed.snapshot().State != "idle" {
			t.Errorf("sub read %d times, main %d times: %+v", sub.Runs(), main.Runs(), s.viewed.snapshot())
		}
		watching := p.WatchPackets("gate", 4)
		if got := (<-watching.C).Stream; got != "main" {
			t.Errorf("people see %q", got)
		}
		if v := s.viewed.snapshot(); v.State != "online" || v.Packets == 0 || v.Input.URL != "rtsp://h/main" {
			t.Errorf("%+v", v)
		}
		watching.Close()
		time.Sleep(linger + time.Second)
		before := s.viewed.snapshot()
		time.Sleep(time.Second)
		if v := s.viewed.snapshot(); v.State != "idle" || v.Packets != before.Packets {
			t.Errorf("it goes on without watchers: %+v", v)
		}
		cancel()
		<-ended
		if got := s.status.snapshot().Packets; got < 25*60 {
			t.Errorf("%d packets of the small stream", got)
		}
	})
}

// TestAStreamWithoutKeyframesIsTold has cameras that connect and send no picture
// that decoding could start with, for a while or for good.
func TestAStreamWithoutKeyframesIsTold(t *testing.T) {
	keyless := func(seconds int) ingest.Source {
		return runFunc(func(ctx context.Context, emit func(ingest.Packet) error) error {
			for range 5 * seconds {
				if !pause(ctx, 200*time.Millisecond) {
					return ctx.Err()
				}
				ingest.Withheld(ctx)
			}
			source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: ingesttest.H264(20, 10, 40*time.Millisecond), Paced: true, Hold: true}}}
			return source.Run(ctx, emit)
		})
	}
	for seconds, want := range map[int][]string{
		1:   {"online scripted-1", "offline shutdown"},
		5:   {"degraded no_keyframe", "online scripted-1", "offline shutdown"},
		600: {"degraded no_keyframe", "offline shutdown"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, fake := newTestStream(t, true, keyless(seconds), &fakeDecoder{})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := s.run(ctx); err != nil {
				t.Error(err)
			}
			var got []string
			for _, what := range fake.got {
				if words := strings.Fields(what); words[0] == "online" || words[0] == "offline" || words[0] == "degraded" {
					got = append(got, words[0]+" "+words[1])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("no keyframe for %d s: told %q, want %q", seconds, got, want)
			}
		})
	}
}

// TestAFileInALoopComesBack takes away the share of a file that has played.
func TestAFileInALoopComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			loops bool
			first error // of a share that is away from the beginning
			want  int   // attempts
		}{{false, nil, 1}, {true, nil, 4}, {true, failure(ingest.ReasonNotFound), 1}} {
			p := newPulled()
			p.live, p.loops = false, c.loops
			gone := ingesttest.Script{End: failure(ingest.ReasonNotFound)}
			plays := ingesttest.Script{Packets: ingesttest.H264(5, 5, 40*time.Millisecond), Paced: true, End: failure(ingest.ReasonDamaged)}
			source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{plays, gone, gone, {Hold: true}}}
			if c.first != nil {
				source.Scripts = []ingesttest.Script{gone}
			}
			p.inputs = []*input{p.try("file:a", source)}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := p.run(ctx)
			cancel()
			if len(p.tries) != c.want || (err == nil) != (c.want == 4) {
				t.Errorf("loop %v: %d attempts, want %d: %v", c.loops, len(p.tries), c.want, err)
			}
		}
	})
}

// TestAPortInUseIsNotTriedWithoutPause has a source that waits for its sender fail
// at once, over and over.
func TestAPortInUseIsNotTriedWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulled()
		p.waits = true
		p.inputs = []*input{p.try("srt://:9000?mode=listener", refuses())}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p.run(ctx)
		if n := len(p.tries); n < 50 || n > 150 {
			t.Errorf("tried %d times in a minute", n)
		}
	})
}

// losing is a source that has lost so many packets.
type losing uint64

func (losing) Run(context.Context, func(ingest.Packet) error) error { return nil }
func (l losing) Losses() ingest.Losses                              { return ingest.Losses{Lost: uint64(l), Late: 1} }

// TestLossesAddUp sums over a stream's addresses and over a source that another
// took the place of.
func TestLossesAddUp(t *testing.T) {
	p, n := newPulled(), losing(0)
	of := func() *input {
		in := &input{make: func() (ingest.Source, error) { n += 10; return n, nil }}
		in.renew()
		return in
	}
	p.inputs = []*input{p.try("file:a", runFunc(nil))}
	if got := p.status().Losses; got != nil {
		t.Errorf("a source that does not count has %+v", got)
	}
	p.inputs = append(p.inputs, of(), of())
	p.inputs[1].renew()
	if got := p.status().Losses; got == nil || *got != (ingest.Losses{Lost: 10 + 20 + 30, Late: 3}) {
		t.Errorf("%+v", got)
	}
}
