package pipelines

import (
	"time"

	"sightline/detect"
)

// Decision is what happens to a packet before it is decoded.
type Decision uint8

// Decisions.
const (
	DecodePacket Decision = iota // after those held, which are given up where it is a keyframe
	SkipPacket                   // this one alone; nothing depends on it
	SkipUntilKey                 // this one and all others up to the next keyframe, those held too
	HoldPacket                   // not yet: the next packet that is decoded decides
)

// Why packets are not decoded, besides overload, as accounts name it.
const (
	skippedNonref = "skipped_nonref" // nothing depends on it, and it is not wanted
	skippedNonkey = "skipped_nonkey" // keyframes alone are enough
	skippedTail   = "skipped_tail"   // nothing is wanted before the next keyframe
	sampled       = "sampled"        // a keyframe that is not wanted; or a picture
	overload      = "overload"
)

// PacketInfo is what a sampler knows of a packet.
type PacketInfo struct {
	PTS, Duration        time.Duration
	Size                 int
	Keyframe, Disposable bool
	Watched              bool          // somebody wants to see every picture; never at pace fastest
	Lag                  time.Duration // how long it waited for its decoder; 0 at pace fastest
}

// Sampler decides for one stream what to spend: which packets to decode and
// which frames to infer. One goroutine uses it, but for Result.
type Sampler interface {
	// Packet decides about the next packet in decoding order. The reason is for
	// the account, of a packet held in case it is given up.
	Packet(p PacketInfo) (d Decision, reason string)
	// Frame says whether the frame shown at pts is to be inferred; live frames
	// lasting duration (0: unknown) are chosen nearest to the grid.
	Frame(pts, duration time.Duration) bool
	// WantsKeyframe says that a keyframe asked for now, at pts, would be decoded
	// where none would come by itself.
	WantsKeyframe(pts time.Duration) bool
	// Result tells what the last inferred frame showed, from another goroutine.
	Result(tracks []detect.Track)
	// Reset starts a new epoch.
	Reset()
}

// Skip is what a sampler may leave undecoded without overload.
type Skip string

// Ways to skip.
const (
	SkipNone   Skip = "none"
	SkipNonref Skip = "nonref" // pictures no other builds on
	SkipNonkey Skip = "nonkey" // all but keyframes
	SkipAuto   Skip = "auto"   // as much as the grid allows
)

// gridSampler keeps detect.fps on the stream's own time grid, decodes no more
// than that takes where it may choose, and under overload gives up the tail of
// each group of pictures: all streams the same share, which the shedder sets.
type gridSampler struct {
	fps  float64 // 0: every frame
	skip Skip
	shed *shedder // nil at pace fastest: load is ignored

	slot     int64 // of the last frame chosen, -1 before the first
	plan     plan  // what is decoded to be chosen
	gop      structure
	skipping bool    // until the next keyframe
	credit   float64 // inferences owed, of groups of pictures
	allowed  int64   // grid slots of this group of pictures to decode
	share    float64 // inferences owed, where keyframes alone are inferred
}

// newGridSampler takes fps 0 for every frame. A nil shedder ignores load.
func newGridSampler(fps float64, skip Skip, shed *shedder) *gridSampler {
	if skip == SkipAuto && fps <= 0 {
		skip = SkipNone
	}
	s := &gridSampler{fps: fps, skip: skip, shed: shed}
	s.Reset()
	return s
}

func (s *gridSampler) Reset() {
	*s = gridSampler{fps: s.fps, skip: s.skip, shed: s.shed, slot: -1}
}

func (s *gridSampler) Packet(p PacketInfo) (Decision, string) {
	p.Disposable = p.Disposable && !p.Keyframe
	s.gop.see(p)
	if s.shed == nil && s.skip != SkipAuto {
		return s.simple(p)
	}
	keep := s.shed.Keep()
	if p.Keyframe {
		s.keyframe(keep)
	}
	if s.gop.intra || s.skip == SkipNonkey {
		return s.keysOnly(p, keep)
	}
	if s.skip == SkipAuto && s.gop.density(s.grid(), p.PTS) == keysSuffice {
		if d, reason, done := s.keysSuffice(p, keep); done {
			return d, reason
		}
	}
	if s.skipping {
		return SkipUntilKey, overload
	}
	if keep < 1 && !p.Keyframe && s.spent(p, keep) {
		s.skipping = true
		return SkipUntilKey, overload
	}
	d, reason := s.decide(p, keep)
	if d == DecodePacket {
		s.shed.observe(p.Lag)
	}
	return d, reason
}

// decide is for packets that overload spares.
func (s *gridSampler) decide(p PacketInfo, keep float64) (Decision, string) {
	if s.skip == SkipAuto {
		return s.auto(p)
	}
	d, reason := s.simple(p)
	if d == DecodePacket && keep < 1 && p.Disposable && !s.due(p.PTS, p.Duration, s.slot) {
		return SkipPacket, overload
	}
	return d, reason
}

// simple skips what a file or the user says, whatever it costs.
func (s *gridSampler) simple(p PacketInfo) (Decision, string) {
	switch {
	case s.skip == SkipNonref && p.Disposable:
		return SkipPacket, skippedNonref
	case s.skip == SkipNonkey && !p.Keyframe:
		return SkipUntilKey, skippedNonkey
	}
	return DecodePacket, ""
}

// spent says that the group of pictures has had its share. Shares are whole
// inferences; what is left over is carried to the next group, so that the mean is
// right and equal for streams with different groups.
func (s *gridSampler) spent(p PacketInfo, keep float64) bool {
	if s.fps <= 0 {
		return p.PTS-s.gop.keyAt >= time.Duration(keep*float64(s.period()))
	}
	slot := s.slotOf(p.PTS, p.Duration)
	used := slot - s.slotOf(s.gop.keyAt, p.Duration)
	return used >= s.allowed || used == s.allowed-1 && slot <= max(s.slot, s.plan.newest())
}

// period is the length of the group of pictures being shed from: unknown or
// endless ones (WebRTC sends keyframes only when asked) count as two seconds,
// after which WantsKeyframe is true.
func (s *gridSampler) period() time.Duration {
	if s.gop.interval == 0 {
		return endlessGOP
	}
	return s.gop.interval
}

const endlessGOP = 2 * time.Second

// WantsKeyframe says that a keyframe asked for now would be decoded.
func (s *gridSampler) WantsKeyframe(pts time.Duration) bool {
	return s.skipping && pts-s.gop.keyAt >= max(s.period(), endlessGOP)
}

func (s *gridSampler) keyframe(keep float64) {
	s.skipping = false
	if !s.gop.intra && s.fps > 0 {
		s.credit += min(1, keep) * s.period().Seconds() * s.fps
		s.allowed = int64(s.credit)
		s.credit -= float64(s.allowed)
	}
}

// keysOnly lets through only keyframes that will be inferred, less what overload
// costs.
func (s *gridSampler) keysOnly(p PacketInfo, keep float64) (Decision, string) {
	slot := s.slotOf(p.PTS, s.gop.interval)
	switch {
	case !p.Keyframe:
		return SkipUntilKey, skippedNonkey
	case keep >= 1 && (p.Watched || s.skip == SkipNone):
		// every one of them
	case s.fps > 0 && !s.plan.free(slot):
		if s.skip == SkipAuto {
			return HoldPacket, sampled // a picture may yet build on it
		}
		s.skipping = true
		return SkipUntilKey, sampled
	case !s.pay(keep):
		s.plan.take(slot)
		s.skipping = true
		return SkipUntilKey, overload
	}
	s.plan.want(p.PTS, slot)
	s.shed.observe(p.Lag)
	return DecodePacket, ""
}

// pay takes one inference from the share that overload leaves.
func (s *gridSampler) pay(keep float64) bool {
	if s.share += min(1, keep); s.share < 1 {
		return false
	}
	s.share--
	return true
}

func (s *gridSampler) Frame(pts, duration time.Duration) bool {
	if s.skip == SkipAuto {
		slot, ok := s.plan.seen(pts)
		if ok = ok && slot > s.slot; ok {
			s.slot = slot
		}
		return ok
	}
	if s.skip == SkipNonkey || s.gop.intra {
		duration = s.gop.interval
	}
	if !s.due(pts, duration, s.slot) {
		return false
	}
	s.slot = s.slotOf(pts, duration)
	return true
}

func (s *gridSampler) due(pts, spacing time.Duration, last int64) bool {
	return s.fps <= 0 || s.slotOf(pts, spacing) > last
}

// grid is the time from one inference to the next.
func (s *gridSampler) grid() time.Duration { return time.Duration(float64(time.Second) / s.fps) }

// next is the grid point of the first slot after all that are planned.
func (s *gridSampler) next() time.Duration {
	return time.Duration(float64(s.plan.newest()+1) / s.fps * float64(time.Second))
}

// slotOf numbers the grid's slots so that the picture nearest to a grid point, of
// those that are so far apart, is the first of its slot, however the camera's
// clock jitters.
func (s *gridSampler) slotOf(pts, spacing time.Duration) int64 {
	if s.fps <= 0 {
		return 0
	}
	half := min(spacing, s.grid()) / 2
	if half <= 0 {
		half = 10 * time.Millisecond
	}
	return int64((pts + half).Seconds() * s.fps)
}

func (s *gridSampler) Result([]detect.Track) {}

var _ Sampler = (*gridSampler)(nil)
