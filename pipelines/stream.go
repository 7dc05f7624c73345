package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/ingest"
)

// stream runs one source's way from packets to events. Three goroutines: the
// source's own, which only queues; one that decodes and writes rows; and the
// analyst's, which turns results into events in frame order.
type stream struct {
	name     string
	live     bool // a camera or publisher: tried again when it fails
	lossless bool // pace fastest: nothing is dropped, the source waits
	log      *slog.Logger

	source  ingest.Source
	decoder decode.Decoder
	sampler Sampler
	queue   *packetQueue
	gate    *gate
	batcher *batcher
	shapes  *shapes
	lane    *lane
	slots   chan struct{} // rows under way, lossless streams only
	analyst *analyst

	ledger *ledger
	status *state
	watch  watchers
	giveUp atomic.Pointer[context.CancelCauseFunc]

	epoch    string
	frames   []*decode.Frame // handed out by the decoder, not yet looked at
	asked    time.Time       // when a keyframe was last asked for
	warnings warnings
}

// run works until the source is done or ctx ends, and everything it gave rise to
// has become events. It returns why a file failed.
func (s *stream) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(s.analyst.run)
	wg.Go(s.decodeAll)
	err := s.supervise(ctx)
	if ctx.Err() != nil {
		s.queue.abandon("shutdown")
	}
	s.queue.close()
	wg.Wait()
	s.shapes.compiling.Wait()
	s.status.ended()
	return errors.Join(err, s.decoder.Close())
}

// decodeAll is the decoding goroutine.
func (s *stream) decodeAll() {
	defer func() { s.analyst.close(s.lane.seq) }()
	for {
		u, ok := s.queue.take()
		if !ok {
			return
		}
		if u.end != nil {
			s.finishEpoch()
			s.analyst.control(s.lane.next(), control{end: u.end, at: s.now()})
			continue
		}
		if u.packet.Epoch != s.epoch {
			s.startEpoch(u.packet)
		}
		s.packet(u.packet)
	}
}

// now is the clock's time for live streams; others tell time by their frames.
func (s *stream) now() time.Time {
	if s.lossless {
		return time.Time{}
	}
	return time.Now().UTC()
}

func (s *stream) startEpoch(p ingest.Packet) {
	s.finishEpoch()
	s.epoch = p.Epoch
	s.sampler.Reset()
	s.analyst.control(s.lane.next(), control{epoch: p.Epoch, at: p.Captured})
}

// finishEpoch gets the last pictures out of the decoder.
func (s *stream) finishEpoch() {
	if s.epoch == "" {
		return
	}
	core := s.enterDecode(time.Time{})
	err := s.decoder.Flush(s.collect)
	s.gate.leave(core)
	if err != nil {
		s.warnings.warn(s.log, "decoder did not flush", err)
	}
	s.useFrames(0)
	waiting, _ := s.queue.waiting()
	s.ledger.settle(waiting)
	s.epoch = ""
	s.lane.fence()
}

// packet decides about one packet and decodes it.
func (s *stream) packet(p ingest.Packet) {
	var lag time.Duration
	if !s.lossless {
		lag = time.Since(p.Received)
	}
	d, reason := s.sampler.Packet(PacketInfo{
		PTS: p.PTS, Duration: p.Duration, Size: len(p.Data), Keyframe: p.Keyframe, Disposable: p.Disposable, Lag: lag,
	})
	if d != DecodePacket {
		s.decoder.Skip(p)
		s.ledger.undecode(reason, 1)
		s.wantKeyframe(p.PTS)
		return
	}
	before := s.decoder.Pending() + 1
	core := s.enterDecode(p.Received)
	err := s.decoder.Decode(p, s.collect)
	s.gate.leave(core)
	lost := before - s.decoder.Pending() - len(s.frames)
	s.decodeError(err, max(lost, 0))
	s.useFrames(p.Duration)
}

func (s *stream) enterDecode(due time.Time) work {
	if s.lossless {
		return s.gate.enter(workFileDecode, time.Time{})
	}
	return s.gate.enter(workLiveDecode, due)
}

func (s *stream) collect(f *decode.Frame) error {
	s.frames = append(s.frames, f)
	s.ledger.decode()
	return nil
}

// decodeError accounts for n packets that the decoder gave up.
func (s *stream) decodeError(err error, n int) {
	switch {
	case err == nil:
		s.ledger.undecode("no_picture", uint64(n))
	case errors.Is(err, decode.ErrNoKeyframe):
		s.ledger.undecode("no_keyframe", uint64(n))
		s.requestKeyframe()
	case errors.Is(err, decode.ErrUnsupported):
		s.ledger.undecode("unsupported", uint64(n))
		s.fail(ingest.ReasonUnsupportedCodec, err)
	default:
		s.ledger.undecode("damaged", uint64(n))
		s.warnings.warn(s.log, "packet could not be decoded", err)
		s.requestKeyframe()
	}
}

// useFrames looks at the frames the decoder has handed out and releases them.
func (s *stream) useFrames(duration time.Duration) {
	for _, f := range s.frames {
		s.frame(f, duration)
		f.Release()
	}
	clear(s.frames)
	s.frames = s.frames[:0]
}

func (s *stream) frame(f *decode.Frame, duration time.Duration) {
	s.watch.frame(f)
	s.status.size(f.Width, f.Height)
	if f.Damaged && s.live {
		s.ledger.skip("damaged")
		return
	}
	if !s.sampler.Frame(f.PTS, duration) {
		s.ledger.skip("sampled")
		return
	}
	shape, err := s.shapes.get(f.Width, f.Height)
	if err != nil {
		s.ledger.skip("error")
		s.warnings.warn(s.log, "no network for this picture size", err)
		return
	}
	if s.lossless {
		s.slots <- struct{}{}
	}
	core := s.gate.enter(workPreprocess, f.Received)
	err = s.batcher.put(s.row(f), f, shape)
	s.gate.leave(core)
	if err != nil {
		s.ledger.skip("error")
		s.release()
		s.warnings.warn(s.log, "frame was not taken for inference", err)
	}
}

func (s *stream) row(f *decode.Frame) *row {
	r := &row{
		lane: s.lane,
		frame: detect.FrameInfo{
			Index: f.Index, PTSMs: float64(f.PTS.Microseconds()) / 1e3, Width: f.Width, Height: f.Height,
		},
		meta: frameMeta{captured: f.Captured, clock: clockInfo(f.Clock)},
	}
	if s.live {
		r.meta.received, r.meta.decoded = f.Received, f.Decoded
	}
	return r
}

// release gives back the place of a row that is done with.
func (s *stream) release() {
	if s.lossless {
		<-s.slots
	}
}

// wantKeyframe asks for a keyframe where shedding waits for one that would
// otherwise never come.
func (s *stream) wantKeyframe(pts time.Duration) {
	if g, ok := s.sampler.(*gridSampler); ok && g.WantsKeyframe(pts) {
		s.requestKeyframe()
	}
}

func (s *stream) requestKeyframe() {
	r, ok := s.source.(ingest.KeyframeRequester)
	if ok && time.Since(s.asked) > time.Second {
		s.asked = time.Now()
		r.RequestKeyframe()
	}
}

func clockInfo(c ingest.Clock) detect.ClockInfo {
	out := detect.ClockInfo{Source: string(c.Source)}
	if c.Source == ingest.ClockRTCP {
		ms := float64(c.Offset.Microseconds()) / 1e3
		out.OffsetMs = &ms
	}
	if c.Uncertainty > 0 {
		ms := float64(c.Uncertainty.Microseconds()) / 1e3
		out.UncertaintyMs = &ms
	}
	return out
}

// warnings says a thing at most once in ten seconds, with how often it happened.
type warnings struct {
	last       time.Time
	suppressed int
}

func (w *warnings) warn(log *slog.Logger, msg string, err error) {
	if time.Since(w.last) < 10*time.Second {
		w.suppressed++
		return
	}
	log.Warn(msg, slog.Any("error", err), slog.Int("suppressed", w.suppressed))
	w.last, w.suppressed = time.Now(), 0
}
