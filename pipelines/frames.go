package pipelines

import (
	"errors"
	"time"

	"sightline/decode"
	"sightline/detect"
	"sightline/ingest"
)

// useFrames looks at the frames the decoder has handed out and releases them.
func (s *stream) useFrames() {
	for _, f := range s.frames {
		s.frame(f)
		f.Release()
	}
	clear(s.frames)
	s.frames = s.frames[:0]
}

// frame shows a frame to all who need its pixels.
func (s *stream) frame(f *decode.Frame) {
	defer s.forgetCopy()
	s.onGPU, s.seen = f.Memory == decode.CUDA, f.Captured
	if s.watch.frames.watched() {
		if host := s.hostCopy(f); host != nil {
			s.watch.frame(host)
		}
	}
	s.status.size(f.Width, f.Height)
	if !s.lossless && (s.analyst.behind() || s.shoot.behind()) {
		s.ledger.skip("behind")
		return
	}
	s.goOnline(f.Captured)
	if !f.Damaged {
		s.inspect(f)
	}
	lacking := f.Damaged && f.PTS < s.epoch.leads // what was passed over here: nobody's fault, and of no use
	withheld := f.Damaged && !lacking && s.hold
	if f.Damaged && !lacking {
		s.keyframe.need(s.pull.requestKeyframe)
	}
	if l := &s.epoch.losses; l.picture(f.PTS, withheld) || l.bad {
		s.tellLosses(f.PTS, f.Captured)
	}
	switch {
	case !s.analyze:
		s.ledger.skip(noConsumer)
	case withheld:
		s.ledger.skip(damaged)
	case lacking:
		s.ledger.skip(sampled)
	case !s.sampler.Frame(f.PTS, s.epoch.step):
		s.ledger.skip(sampled)
	default:
		s.infer(f)
	}
}

// goOnline tells that an epoch delivers, once.
func (s *stream) goOnline(at time.Time) {
	if s.epoch.online {
		return
	}
	s.epoch.online = true
	s.status.online(s.epoch.name)
	c := control{epoch: s.epoch.name, at: at}
	if s.live {
		c.online = s.pull.online()
	}
	s.analyst.control(s.lane.next(), c)
}

// infer writes a frame into a batch.
func (s *stream) infer(f *decode.Frame) {
	s.shadow.turn(f)
	if s.lossless {
		s.slots <- struct{}{}
	}
	err := errClosed
	for errors.Is(err, errClosed) { // its network moves just now
		if isLost(f) || !s.follow() && !s.awaitNetwork() {
			s.ledger.skip(gpuLost)
			s.release()
			return
		}
		err = s.write(f)
	}
	if err != nil {
		reason := "error"
		if isLost(f) { // while its network moved
			reason = gpuLost
		}
		s.ledger.skip(reason)
		s.release()
		s.warnings.warn(s.log, "frame was not taken for inference", err)
	}
	s.shadow.wait()
}

// errNoCopy is for a picture that a network on the CPU cannot be given.
var errNoCopy = errors.New("the picture stayed on the GPU")

// isLost tells whether a frame's pixels went with the GPU they were on.
func isLost(f *decode.Frame) bool { return f.Memory == decode.CUDA && f.GPU.Err() != nil }

// write puts a frame into a row of the network in use.
func (s *stream) write(f *decode.Frame) error {
	shape := s.shapes.get(f.Width, f.Height)
	picture := f
	if !s.batcher.onGPU {
		if picture = s.hostCopy(f); picture == nil {
			return errNoCopy
		}
	}
	w := s.enterFor(f, workPreprocess)
	r := s.row(f)
	s.shoot.show(r, picture)
	s.shadow.show(r, f)
	err := s.batcher.put(r, picture, shape)
	s.gate.leave(w)
	if err != nil {
		s.shoot.release(r)
		r.look.lost()
	}
	return err
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

func clockInfo(c ingest.Clock) detect.ClockInfo {
	out := detect.ClockInfo{Source: string(c.Source)}
	if c.Offset != 0 { // told also where it is too far off to be followed
		ms := float64(c.Offset.Microseconds()) / 1e3
		out.OffsetMs = &ms
	}
	if c.Uncertainty > 0 {
		ms := float64(c.Uncertainty.Microseconds()) / 1e3
		out.UncertaintyMs = &ms
	}
	return out
}
