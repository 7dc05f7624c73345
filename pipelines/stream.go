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
	"sightline/detect/quality"
	"sightline/ingest"
	"sightline/kernels/cuda"
	"sightline/pipelines/packets"
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
	quality *quality.Watch // nil: nobody wants to know
	sampler Sampler
	queue   *packets.Queue
	gate    *gate
	gpu     *gpu         // nil: the CPU
	device  cuda.Device  // of the GPU, as the stream last saw it; nil while it is lost
	shed    *shedder     // nil: it ignores load
	net     *network     // what batcher, shapes and the lane's writer are of; nil: they stay as they are
	model   detect.Model // of events from now on
	batcher *batcher
	shapes  *shapes
	lane    *lane
	slots   chan struct{} // rows under way, lossless streams only
	analyst *analyst
	shoot   *photographer // nil: events get no pictures
	shadow  *shadow       // nil: its network is not watched

	ledger *ledger
	status *state
	watch  watchers

	hold    bool         // pictures decoded from damaged data are not inferred
	spent   atomic.Int64 // processor time of decoding, in nanoseconds
	heldNow atomic.Int64 // bytes of packets held, for others to read

	// The decoding goroutine's own.
	epoch    epoch
	held     undecided
	frames   []*decode.Frame // handed out by the decoder, not yet looked at
	keyframe keyframeWish
	unused   bool // nobody needed the last packet: the next that is decoded is a keyframe

	stopping <-chan struct{} // closed when the pipeline ends
	onGPU    bool            // the last picture came in a GPU's memory
	fetcher  decode.Fetcher  // of pictures on a GPU
	copy     *decode.Frame   // in host memory, of the frame that is looked at; nil while nobody wanted it
	seen     time.Time       // when the last picture was captured
	warnings warnings
	reminded time.Time // when the log last said that the stream is away
	useless  error     // a file that ended well gave no picture at all
}

// epoch is one connection, or one pass over a file.
type epoch struct {
	name   string
	given  int           // packets given to the decoder
	online bool          // a picture came
	step   time.Duration // of the last packet that told
	err    *ingest.Error // the decoder's last
	losses losses

	passed bool          // over a picture that others may build on
	leads  time.Duration // of the keyframe after such: what is shown before it may lack them
}

// run works until the source is done or ctx ends, and everything it gave rise to
// has become events. It returns why a file failed.
func (s *stream) run(ctx context.Context) error {
	var wg sync.WaitGroup
	s.stopping = ctx.Done()
	s.shoot.start()
	s.shadow.start()
	wg.Go(s.analyst.run)
	wg.Go(s.decodeAll)
	err := s.pull.run(ctx)
	if ctx.Err() != nil {
		s.queue.Abandon(shutdown)
	}
	s.queue.Close()
	wg.Wait()
	s.shoot.finish()
	s.shadow.finish()
	s.shapes.compiling.Wait()
	s.fetcher.Close()
	s.status.ended()
	if s.quality != nil {
		s.quality.Close()
	}
	return errors.Join(err, s.useless, s.decoder.Close())
}

// decodeAll is the decoding goroutine.
func (s *stream) decodeAll() {
	defer func() { s.analyst.close(s.lane.seq) }()
	for {
		u, ok := s.queue.Take()
		if !ok {
			return
		}
		if u.Device {
			s.lookAtDevice()
			continue
		}
		if u.End != nil {
			if u.Lasts {
				s.trouble(*u.End)
			} else {
				s.offline(*u.End)
			}
			continue
		}
		if u.Packet.Epoch != s.epoch.name {
			s.startEpoch(u.Packet)
		}
		if u.Lost > 0 {
			s.giveUp(u)
			continue
		}
		s.packet(u.Packet)
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
		s.remind(reason)
		return
	}
	s.reminded = time.Now()
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

// remindEvery is how often the log says that a stream is still away.
const remindEvery = 10 * time.Minute

func (s *stream) remind(reason detect.ReasonInfo) {
	if reason.Code == idle || time.Since(s.reminded) < remindEvery {
		return
	}
	s.reminded = time.Now()
	s.log.Warn("stream is still offline", slog.String("reason", reason.Code), slog.String("error", reason.Message), slog.Int("attempt", reason.Attempt))
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
	s.keyframe.came()
	s.status.wrong(damaged, false)
	if s.quality != nil {
		s.quality.Reset()
	}
}

// finishEpoch gets the last pictures out of the decoder. It returns an error where
// packets were given to the decoder and no picture came of any.
func (s *stream) finishEpoch() *ingest.Error {
	if s.epoch.name == "" {
		return nil
	}
	s.dropHeld()
	before := s.decoder.Pending()
	core := s.enterDecode(time.Time{})
	err := s.decoder.Flush(s.collect)
	s.leaveDecode(core)
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
