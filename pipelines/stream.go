package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	analyze  bool // false: pictures are decoded only for who watches them
	log      *slog.Logger

	pull    *puller
	viewed  *viewed // what people are shown where it is not what is analyzed, else nil
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

	// The decoding goroutine's own.
	epoch    epoch
	frames   []*decode.Frame // handed out by the decoder, not yet looked at
	asked    time.Time       // when a keyframe was last asked for
	warnings warnings
	useless  error // a file that ended well gave no picture at all
}

// epoch is one connection, or one pass over a file.
type epoch struct {
	name   string
	given  int           // packets given to the decoder
	online bool          // a picture came
	step   time.Duration // of the last packet that told
	err    *ingest.Error // the decoder's last

	degraded   bool // it was told that the stream arrives damaged
	degradedAt time.Duration
}

// run works until the source is done or ctx ends, and everything it gave rise to
// has become events. It returns why a file failed.
func (s *stream) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(s.analyst.run)
	wg.Go(s.decodeAll)
	err := s.pull.run(ctx)
	if ctx.Err() != nil {
		s.queue.abandon(shutdown)
	}
	s.queue.close()
	wg.Wait()
	s.shapes.compiling.Wait()
	s.status.ended()
	return errors.Join(err, s.useless, s.decoder.Close())
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
			if u.lasts {
				s.trouble(*u.end)
			} else {
				s.offline(*u.end)
			}
			continue
		}
		if u.packet.Epoch != s.epoch.name {
			s.startEpoch(u.packet)
		}
		if u.lost {
			s.decoder.Skip(u.packet)
			continue
		}
		s.packet(u.packet)
	}
}

// offline ends the epoch because its source ended. While a source stays away only
// a new reason is news.
func (s *stream) offline(reason detect.ReasonInfo) {
	bad := s.finishEpoch()
	if bad != nil && reason.Code == string(ingest.ReasonEnded) {
		reason = describe(bad, max(1, reason.Attempt))
		if !s.live {
			s.useless = bad
		}
	}
	if !s.status.offline(reason) {
		return
	}
	if reason.Code == shutdown || reason.Code == idle || !s.live && reason.Code == string(ingest.ReasonEnded) {
		s.log.Info("stream ended", slog.String("reason", reason.Code))
	} else {
		s.log.Warn("stream is offline", slog.String("reason", reason.Code), slog.String("error", reason.Message))
	}
	c := control{end: &reason}
	if s.live {
		c.at = time.Now().UTC()
	}
	s.analyst.control(s.lane.next(), c)
}

// trouble tells that a source is connected and yet delivers nothing.
func (s *stream) trouble(reason detect.ReasonInfo) {
	if s.status.trouble(reason) {
		s.log.Warn("stream is connected, but of no use yet", slog.String("reason", reason.Code), slog.String("error", reason.Message))
		s.analyst.control(s.lane.next(), control{degraded: &reason, at: time.Now().UTC()})
	}
}

// recorded is when events were made; zero where every run must make the same.
func (s *stream) recorded() time.Time {
	if s.lossless {
		return time.Time{}
	}
	return time.Now().UTC()
}

func (s *stream) startEpoch(p ingest.Packet) {
	if bad := s.finishEpoch(); bad != nil && !s.live {
		s.pull.fail(bad) // a file in a loop: the next pass would be no better
	}
	s.epoch = epoch{name: p.Epoch}
	s.sampler.Reset()
}

// finishEpoch gets the last pictures out of the decoder. It returns an error where
// packets were given to the decoder and no picture came of any.
func (s *stream) finishEpoch() *ingest.Error {
	if s.epoch.name == "" {
		return nil
	}
	before := s.decoder.Pending()
	core := s.enterDecode(time.Time{})
	err := s.decoder.Flush(s.collect)
	s.gate.leave(core)
	s.settle(before, "no_picture")
	if err != nil {
		s.warnings.warn(s.log, "decoder did not flush", err)
	}
	s.useFrames()
	s.lane.fence()
	e := s.epoch
	s.epoch = epoch{}
	switch {
	case e.online || e.given == 0:
		return nil
	case e.err != nil:
		return e.err
	}
	return &ingest.Error{Reason: ingest.ReasonDamaged, Permanent: true, Err: errors.New("nothing in it decodes to a picture")}
}

// settle accounts for packets the decoder gave up, of those it had before.
func (s *stream) settle(before int, reason string) {
	if lost := before - s.decoder.Pending() - len(s.frames); lost > 0 {
		s.ledger.undecode(reason, uint64(lost))
	}
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
	s.epoch.given++
	if p.Duration > 0 {
		s.epoch.step = p.Duration
	}
	before := s.decoder.Pending() + 1
	core := s.enterDecode(p.Received)
	err := s.decoder.Decode(p, s.collect)
	s.gate.leave(core)
	lost := s.decodeError(err)
	s.settle(before, lost)
	if lost == "damaged" {
		s.degrade(p.PTS, p.Captured, err.Error())
	}
	s.useFrames()
}

// degradedEvery is how often, in a stream's own time, it is told that it arrives
// damaged.
const degradedEvery = time.Minute

// degrade tells that a stream which delivers does not deliver well.
func (s *stream) degrade(pts time.Duration, at time.Time, message string) {
	if !s.epoch.online || s.epoch.degraded && pts-s.epoch.degradedAt < degradedEvery {
		return
	}
	s.epoch.degraded, s.epoch.degradedAt = true, pts
	reason := detect.ReasonInfo{Code: string(ingest.ReasonDamaged), Message: message}
	s.analyst.control(s.lane.next(), control{degraded: &reason, at: at})
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

// decodeError does what the decoder's answer asks for, and returns the reason
// under which packets it gave up are counted.
func (s *stream) decodeError(err error) (reason string) {
	switch {
	case err == nil:
		return "no_picture"
	case errors.Is(err, decode.ErrNoKeyframe):
		s.epoch.err = &ingest.Error{Reason: ingest.ReasonNoKeyframe, Permanent: true, Err: err}
		s.requestKeyframe()
		return "no_keyframe"
	case errors.Is(err, decode.ErrUnsupported):
		s.epoch.err = &ingest.Error{Reason: ingest.ReasonUnsupportedCodec, Permanent: true, Err: err}
		s.pull.fail(s.epoch.err)
		return "unsupported"
	}
	s.epoch.err = &ingest.Error{Reason: ingest.ReasonDamaged, Permanent: true, Err: err}
	s.warnings.warn(s.log, "packet could not be decoded", err)
	s.requestKeyframe()
	return "damaged"
}

// useFrames looks at the frames the decoder has handed out and releases them.
func (s *stream) useFrames() {
	for _, f := range s.frames {
		s.frame(f)
		f.Release()
	}
	clear(s.frames)
	s.frames = s.frames[:0]
}

func (s *stream) frame(f *decode.Frame) {
	if !s.epoch.online {
		s.epoch.online = true
		s.status.online(s.epoch.name)
		c := control{epoch: s.epoch.name, at: f.Captured}
		if s.live {
			c.online = s.pull.online()
		}
		s.analyst.control(s.lane.next(), c)
	}
	s.watch.frame(f)
	s.status.size(f.Width, f.Height)
	if f.Damaged {
		s.degrade(f.PTS, f.Captured, "pictures were decoded from damaged data")
		if s.live {
			s.ledger.skip("damaged")
			return
		}
	}
	if !s.sampler.Frame(f.PTS, s.epoch.step) {
		s.ledger.skip("sampled")
		return
	}
	shape := s.shapes.get(f.Width, f.Height)
	if s.lossless {
		s.slots <- struct{}{}
	}
	core := s.gate.enter(workPreprocess, f.Received)
	err := s.batcher.put(s.row(f), f, shape)
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
	if s.sampler.WantsKeyframe(pts) {
		s.requestKeyframe()
	}
}

func (s *stream) requestKeyframe() {
	if time.Since(s.asked) > time.Second {
		s.asked = time.Now()
		s.pull.requestKeyframe()
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
