package pipelines

import (
	"errors"
	"time"

	"sightline/decode"
	"sightline/ingest"
	"sightline/kernels/cuda"
	"sightline/pipelines/packets"
)

// noConsumer is why nothing is decoded, or inferred, of a stream that is not
// analyzed: nobody asked for its pictures.
const noConsumer = "no_consumer"

// packet decides about one packet and decodes it.
func (s *stream) packet(p ingest.Packet) {
	s.noteLoss(p)
	if !s.needed(p) {
		s.pass(p, noConsumer)
		return
	}
	d, reason := s.sampler.Packet(PacketInfo{
		PTS: p.PTS, Duration: p.Duration, Size: len(p.Data), Keyframe: p.Keyframe, Disposable: p.Disposable,
		Watched: !s.lossless && s.watch.frames.watched(), Lag: s.lag(p),
	})
	switch d {
	case SkipUntilKey:
		s.dropHeld()
		s.pass(p, reason)
		if s.sampler.WantsKeyframe(p.PTS) {
			s.keyframe.ask(s.pull.requestKeyframe)
		}
	case SkipPacket:
		s.pass(p, reason)
	case HoldPacket:
		s.holdBack(p, reason)
	default:
		s.decodeAfterHeld(p)
	}
}

// lag is how long p waited for its decoder, where anybody waits for it.
func (s *stream) lag(p ingest.Packet) time.Duration {
	if s.lossless {
		return 0
	}
	return time.Since(p.Received)
}

// needed tells whether anybody needs pictures of p. A stream that is not analyzed
// is online with its first keyframe, and is decoded from one on for who watches.
func (s *stream) needed(p ingest.Packet) bool {
	if s.analyze {
		return true
	}
	if p.Keyframe {
		s.goOnline(p.Captured)
	}
	if !s.watch.frames.watched() {
		s.dropHeld()
		s.unused = true
		return false
	}
	s.unused = s.unused && !p.Keyframe
	if s.unused {
		s.keyframe.need(s.pull.requestKeyframe)
	}
	return !s.unused
}

// pass goes past a packet without decoding it.
func (s *stream) pass(p ingest.Packet, reason string) {
	s.decoder.Skip(p)
	s.epoch.passed = s.epoch.passed || !p.Disposable
	s.ledger.undecode(reason, 1)
}

// giveUp goes past packets that were given up in the queue. What follows them waits
// for a keyframe, which may have to be asked for.
func (s *stream) giveUp(u packets.Unit) {
	s.dropHeld()
	for range u.Lost {
		s.decoder.Skip(u.Packet)
	}
	s.epoch.passed = true
	s.keyframe.need(s.pull.requestKeyframe)
}

// undecided are packets that wait for the sampler to know whether they are needed: for
// a keyframe that makes them useless, or for one that depends on them.
type undecided struct {
	packets []ingest.Packet
	reasons []string
	bytes   int
}

// Bounds of what is held: packets beyond them are decoded.
const (
	heldPackets = 512
	heldBytes   = 8 << 20
)

// holdBack keeps p. A keyframe makes what was held before it useless.
func (s *stream) holdBack(p ingest.Packet, reason string) {
	if p.Keyframe {
		s.dropHeld()
	}
	if len(s.held.packets) == heldPackets || s.held.bytes+len(p.Data) > heldBytes {
		s.decodeAfterHeld(p)
		return
	}
	s.held.packets, s.held.reasons = append(s.held.packets, p), append(s.held.reasons, reason)
	s.held.bytes += len(p.Data)
	s.heldNow.Store(int64(s.held.bytes))
}

// dropHeld goes past what is held.
func (s *stream) dropHeld() {
	for i, p := range s.held.packets {
		s.pass(p, s.held.reasons[i])
	}
	s.forgetHeld()
}

func (s *stream) forgetHeld() {
	if len(s.held.packets) == 0 {
		return
	}
	clear(s.held.packets) // not lost: each was passed, which counts, or decoded
	s.heldNow.Store(0)
	s.held = undecided{packets: s.held.packets[:0], reasons: s.held.reasons[:0]}
}

// decodeAfterHeld decodes p, and before it what it may depend on.
func (s *stream) decodeAfterHeld(p ingest.Packet) {
	if p.Keyframe {
		s.dropHeld()
	}
	for _, h := range s.held.packets {
		s.decode(h)
	}
	s.forgetHeld()
	s.decode(p)
}

// decode decodes one packet and looks at the pictures that come out.
func (s *stream) decode(p ingest.Packet) {
	s.epoch.given++
	if p.Keyframe && s.epoch.passed {
		s.epoch.passed, s.epoch.leads = false, p.PTS
	}
	if p.Duration > 0 {
		s.epoch.step = p.Duration
	}
	before := s.decoder.Pending() + 1
	core := s.enterDecode(p.Received)
	err := s.decoder.Decode(p, s.collect)
	s.leaveDecode(core)
	reason := s.decodeError(err, p)
	s.settle(before, reason)
	if reason == damaged {
		s.epoch.losses.broken(p.PTS)
		s.tellLosses(p.PTS, p.Captured)
	}
	s.useFrames()
}

// enterDecode takes a core to decode with, unless it is a GPU that decodes.
func (s *stream) enterDecode(due time.Time) work {
	switch {
	case s.onGPU && s.lossless:
		return s.gate.aside(workFileDecode)
	case s.onGPU:
		return s.gate.aside(workLiveDecode)
	case s.lossless:
		return s.gate.enter(workFileDecode, time.Time{})
	}
	return s.gate.enter(workLiveDecode, due)
}

func (s *stream) leaveDecode(w work) { s.spent.Add(int64(s.gate.leave(w))) }

func (s *stream) collect(f *decode.Frame) error {
	s.frames = append(s.frames, f)
	s.ledger.decode()
	return nil
}

// decodeError does what the decoder's answer asks for, and returns the reason
// under which packets it gave up are counted.
func (s *stream) decodeError(err error, p ingest.Packet) (reason string) {
	switch {
	case err == nil:
		return "no_picture"
	case errors.Is(err, cuda.ErrLost):
		s.keyframe.need(s.pull.requestKeyframe)
		return gpuLost
	case errors.Is(err, decode.ErrNoKeyframe):
		s.epoch.err = &ingest.Error{Reason: ingest.ReasonNoKeyframe, Permanent: true, Err: err}
		s.keyframe.need(s.pull.requestKeyframe)
		return "no_keyframe"
	case errors.Is(err, decode.ErrUnsupported):
		s.epoch.err = &ingest.Error{Reason: ingest.ReasonUnsupportedCodec, Permanent: true, Err: err}
		s.pull.fail(s.epoch.err)
		return "unsupported"
	}
	s.epoch.err = &ingest.Error{Reason: ingest.ReasonDamaged, Permanent: true, Err: err}
	s.warnings.warn(s.log, "packet could not be decoded", err)
	if !p.Disposable {
		s.keyframe.need(s.pull.requestKeyframe)
	}
	return damaged
}
