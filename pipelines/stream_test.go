package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sightline/decode"
	"sightline/decode/decodetest"
	"sightline/detect"
	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/pipelines/packets"
)

// fakeDecoder makes a picture of each packet, delay packets late, unless refuse
// has an error for it. Packets called "silent" give no picture and no error.
type fakeDecoder struct {
	live    *decode.Live
	delay   int
	refuse  func(p ingest.Packet) error
	silent  func(p ingest.Packet) bool
	inside  []ingest.Packet
	count   uint64
	skipped []time.Duration
}

func (d *fakeDecoder) Decode(p ingest.Packet, emit func(*decode.Frame) error) error {
	if d.refuse != nil {
		if err := d.refuse(p); err != nil {
			return err
		}
	}
	d.inside = append(d.inside, p)
	return d.out(d.delay, emit)
}

func (d *fakeDecoder) out(keep int, emit func(*decode.Frame) error) error {
	for len(d.inside) > keep {
		p := d.inside[0]
		d.inside = d.inside[1:]
		if d.silent != nil && d.silent(p) {
			continue
		}
		d.count++
		f := decodetest.NewFrame(d.live, 16, 16, d.count, decodetest.Flat)
		f.Stream, f.Epoch, f.PTS, f.Captured, f.Received = p.Stream, p.Epoch, p.PTS, p.Captured, p.Received
		if err := emit(f); err != nil {
			return err
		}
	}
	return nil
}

func (d *fakeDecoder) Skip(p ingest.Packet)                       { d.skipped = append(d.skipped, p.PTS) }
func (d *fakeDecoder) Flush(emit func(*decode.Frame) error) error { return d.out(0, emit) }
func (d *fakeDecoder) Pending() int                               { return len(d.inside) }
func (d *fakeDecoder) Close() error                               { return nil }

// quiet looks at no frame, so that no network is needed.
type quiet struct{}

func (quiet) Packet(PacketInfo) (Decision, string)    { return DecodePacket, "" }
func (quiet) Frame(time.Duration, time.Duration) bool { return false }
func (quiet) WantsKeyframe(time.Duration) bool        { return false }
func (quiet) Result([]detect.Track)                   {}
func (quiet) Reset()                                  {}

// newTestStream is a stream whose stages are fakes; what it tells is in the analysis.
func newTestStream(t *testing.T, live bool, source ingest.Source, d *fakeDecoder) (*stream, *fakeAnalysis) {
	d.live = decodetest.Live(t)
	fake := &fakeAnalysis{}
	s := &stream{
		name: "gate", live: live, lossless: !live, analyze: true, log: slog.New(slog.DiscardHandler), decoder: d, sampler: quiet{},
		gate: newGate(1, 0, threadTime), shapes: &shapes{}, ledger: newLedger(), status: &state{}, watch: newWatchers(), lane: &lane{live: live},
	}
	s.status.s.State = "starting"
	s.queue = packets.New(!live, func(_ ingest.Packet, reason string) { s.ledger.undecode(reason, 1) })
	s.pull = &puller{
		live: live, log: s.log, inputs: []*input{{address: "scripted", source: source}},
		receive: s.receive, ended: s.queue.End, trouble: s.queue.Trouble, use: s.ledger.pictures,
	}
	s.analyst = (&analyst{
		live: live, lossless: !live, analysis: fake, tracker: func() detect.Tracker { return noTracks{} }, sampler: s.sampler, ledger: s.ledger,
		status: s.status, emit: func([]detect.Event) {}, release: s.release, settle: func() {},
		sinks: func() map[string]detect.SinkLedger { return nil }, warn: func(string, error) {},
	}).prepare()
	return s, fake
}

// news is what an analysis was told of epochs, without times.
func news(f *fakeAnalysis) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, what := range f.got {
		if words := strings.Fields(what); words[0] == "online" || words[0] == "offline" {
			out = append(out, words[0]+" "+words[1])
		}
	}
	return out
}

func settledLedger(t *testing.T, s *stream) detect.Ledger {
	t.Helper()
	l := s.ledger.snapshot()
	if l.Received != l.Decoded+sum(l.Undecoded) || l.Decoded != l.Inferred+sum(l.Skipped) || l.InDecoder+l.InFlight != 0 {
		t.Errorf("sums do not hold at the end: %+v", l)
	}
	return l
}

func failure(reason ingest.Reason) error {
	return &ingest.Error{Reason: reason, Err: errors.New("it " + string(reason))}
}

// TestALiveStreamComesBack follows a camera through a life of failures: a reason
// is told once, and each connection is an epoch of its own.
func TestALiveStreamComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		packets := ingesttest.H264(20, 10, 40*time.Millisecond)
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
			{End: failure(ingest.ReasonRefused)}, {End: failure(ingest.ReasonRefused)}, {End: failure(ingest.ReasonUnauthorized)},
			{Packets: packets, Paced: true, End: failure(ingest.ReasonEnded)},
			{End: failure(ingest.ReasonRefused)},
			{Packets: packets, Paced: true, Hold: true},
		}}
		d := &fakeDecoder{delay: 2}
		s, fake := newTestStream(t, true, source, d)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		want := []string{
			"offline refused", "offline unauthorized", "online scripted-4", "offline ended", "offline refused", "online scripted-6", "offline shutdown",
		}
		if got := news(fake); !slices.Equal(got, want) {
			t.Errorf("told %q\nwant %q", got, want)
		}
		if l := settledLedger(t, s); l.Received != 40 || l.Decoded != 40 {
			t.Errorf("%+v", l)
		}
		if st := s.status.snapshot(); st.State != "ended" || st.Epoch != "scripted-6" || st.Packets != 40 {
			t.Errorf("%+v", st)
		}
	})
}

// TestUselessCamerasAreLeftInPeace has cameras that connect at once and are of no
// use; they are not called again and again at the shortest pause.
func TestUselessCamerasAreLeftInPeace(t *testing.T) {
	for name, d := range map[string]*fakeDecoder{
		"unsupported": {refuse: func(ingest.Packet) error { return fmt.Errorf("decode: %w", decode.ErrUnsupported) }},
		"no keyframe": {refuse: func(ingest.Packet) error { return decode.ErrNoKeyframe }},
	} {
		synctest.Test(t, func(t *testing.T) {
			source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
				{Packets: ingesttest.H264(3, 10, 0), End: failure(ingest.ReasonEnded)},
			}}
			s, fake := newTestStream(t, true, source, d)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := s.run(ctx); err != nil {
				t.Error(err)
			}
			// About one a second for ten minutes, then one every 30 seconds.
			if n := source.Runs(); n < 500 || n > 1500 {
				t.Errorf("%s: called %d times in an hour", name, n)
			}
			if got := news(fake); len(got) > 3 || strings.HasPrefix(got[0], "online") {
				t.Errorf("%s: told %d things, first %q", name, len(got), got[:min(len(got), 4)])
			}
			settledLedger(t, s)
		})
	}
}

// TestAPublisherIsAwaitedAtOnce wants no pause before the next publisher.
func TestAPublisherIsAwaitedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := ingesttest.Script{Packets: ingesttest.H264(5, 5, 40*time.Millisecond), Paced: true, End: failure(ingest.ReasonEnded)}
		silent := left
		silent.End = nil
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{left, silent, left, {Hold: true}}}
		s, fake := newTestStream(t, true, source, &fakeDecoder{})
		s.pull.waits = true
		ctx, cancel := context.WithTimeout(t.Context(), 3*160*time.Millisecond+time.Millisecond)
		defer cancel()
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		if source.Runs() != 4 {
			t.Errorf("run %d times in the time of three publishers, want 4", source.Runs())
		}
		if got := news(fake); len(got) != 7 && len(got) != 6 {
			t.Errorf("told %q", got)
		}
	})
}

// TestFilesAreReadOnceAndSayWhatWasWrong plays files, good and useless.
func TestFilesAreReadOnceAndSayWhatWasWrong(t *testing.T) {
	broken := func(ingest.Packet) error { return errors.New("bad bits") }
	for _, c := range []struct {
		name  string
		d     *fakeDecoder
		end   error
		fails string // part of the error
		told  []string
	}{
		{"good", &fakeDecoder{delay: 3}, nil, "", []string{"online scripted-1", "offline ended"}},
		{"cut short", &fakeDecoder{delay: 3}, failure(ingest.ReasonDamaged), "it damaged", []string{"online scripted-1", "offline damaged"}},
		{"missing", &fakeDecoder{refuse: broken}, failure(ingest.ReasonNotFound), "it not_found", []string{"offline not_found"}},
		{"broken all through", &fakeDecoder{refuse: broken}, nil, "bad bits", []string{"offline damaged"}},
		{"no keyframes", &fakeDecoder{refuse: func(ingest.Packet) error { return decode.ErrNoKeyframe }}, nil, "no keyframe", []string{"offline no_keyframe"}},
		{"unsupported", &fakeDecoder{refuse: func(ingest.Packet) error { return decode.ErrUnsupported }}, nil, "unsupported codec", []string{"offline unsupported_codec"}},
		{"no picture", &fakeDecoder{silent: func(ingest.Packet) bool { return true }}, nil, "nothing in it decodes", []string{"offline damaged"}},
		{"one picture", &fakeDecoder{silent: func(p ingest.Packet) bool { return p.PTS > 0 }}, nil, "", []string{"online scripted-1", "offline ended"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: ingesttest.H264(20, 10, 40*time.Millisecond), End: c.end}}}
			s, fake := newTestStream(t, false, source, c.d)
			err := s.run(t.Context())
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", c.name, err, c.fails)
			}
			if got := news(fake); !slices.Equal(got, c.told) {
				t.Errorf("%s: told %q, want %q", c.name, got, c.told)
			}
			if source.Runs() != 1 {
				t.Errorf("%s: read %d times", c.name, source.Runs())
			}
			settledLedger(t, s)
		})
	}
}

// TestEpochsOfALoopAreAccountedForExactly has pictures of each pass wait in the
// decoder, and packets of the next in the queue, when it ends.
func TestEpochsOfALoopAreAccountedForExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var packets []ingest.Packet
		for pass := range 4 {
			for _, p := range ingesttest.H264(7, 10, 40*time.Millisecond) {
				p.Epoch = fmt.Sprintf("pass-%d", pass)
				packets = append(packets, p)
			}
		}
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{{Packets: packets}}}
		d := &fakeDecoder{delay: 3, silent: func(p ingest.Packet) bool { return p.PTS == 240*time.Millisecond }}
		s, fake := newTestStream(t, false, source, d)
		if err := s.run(t.Context()); err != nil {
			t.Error(err)
		}
		if l := settledLedger(t, s); l.Received != 28 || l.Decoded != 24 || l.Undecoded["no_picture"] != 4 {
			t.Errorf("%+v", l)
		}
		if got := news(fake); !slices.Equal(got, []string{"online pass-0", "online pass-1", "online pass-2", "online pass-3", "offline ended"}) {
			t.Errorf("told %q", got)
		}
	})
}

// TestAUselessLoopEnds wants a file that gives no picture not to be read for ever.
func TestAUselessLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fake := newTestStream(t, false, endless{}, &fakeDecoder{silent: func(ingest.Packet) bool { return true }})
		if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing in it decodes") {
			t.Errorf("got %v", err)
		}
		if got := news(fake); !slices.Equal(got, []string{"offline damaged"}) {
			t.Errorf("told %q", got)
		}
	})
}

// endless begins a new epoch every five packets.
type endless struct{}

func (endless) Run(ctx context.Context, emit func(ingest.Packet) error) error {
	for pass := 0; ; pass++ {
		for _, p := range ingesttest.H264(5, 5, 40*time.Millisecond) {
			p.Epoch = fmt.Sprint(pass)
			if err := emit(p); err != nil {
				return ctx.Err()
			}
		}
	}
}

// TestFramesGivenUpInTheQueueCount holds the decoder up until the queue sheds;
// the pictures given up are still numbered.
func TestFramesGivenUpInTheQueueCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &ingesttest.Scripted{Stream: "gate", Scripts: []ingesttest.Script{
			{Packets: ingesttest.H264(150, 25, 40*time.Millisecond), Paced: true, End: failure(ingest.ReasonEnded)}, {Hold: true},
		}}
		slow := &fakeDecoder{}
		slow.refuse = func(p ingest.Packet) error {
			if p.PTS == 200*time.Millisecond {
				time.Sleep(3 * time.Second)
			}
			return nil
		}
		s, _ := newTestStream(t, true, source, slow)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.run(ctx); err != nil {
			t.Error(err)
		}
		l := settledLedger(t, s)
		if l.Undecoded["queue_full"] == 0 || l.Undecoded["queue_full"] != uint64(len(slow.skipped)) || l.Received != 150 {
			t.Errorf("%d passed over, %+v", len(slow.skipped), l)
		}
		if !slices.IsSorted(slow.skipped) {
			t.Errorf("passed over out of order: %v", slow.skipped)
		}
	})
}
