package pipelines

import (
	"time"

	"sightline/detect"
)

// Decision is what happens to a packet before it is decoded.
type Decision uint8

// Decisions.
const (
	DecodePacket Decision = iota
	SkipPacket            // this one alone; nothing depends on it
	SkipUntilKey          // this one and all others up to the next keyframe
)

// PacketInfo is what a sampler knows of a packet.
type PacketInfo struct {
	PTS, Duration        time.Duration
	Size                 int
	Keyframe, Disposable bool
	Lag                  time.Duration // how long it waited for its decoder; 0 at pace fastest
}

// Sampler decides for one stream what to spend: which packets to decode and
// which frames to infer. One goroutine uses it, but for Result.
type Sampler interface {
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

// gridSampler keeps detect.fps on the stream's own time grid and, under
// overload, gives up the tail of each group of pictures: all streams the same
// share, which the shedder sets.
type gridSampler struct {
	fps  float64  // 0: every frame
	shed *shedder // nil at pace fastest: load is ignored

	slot      int64         // of the last frame chosen, -1 before the first
	gopStart  time.Duration // PTS of the last keyframe
	gopLength time.Duration // between the last two keyframes, 0 while unknown
	sinceKey  int           // packets after the last keyframe
	intra     bool          // the last two packets were keyframes: nothing depends on anything
	skipping  bool          // until the next keyframe
	credit    float64       // inferences owed: of a group of pictures, or of intra-only streams
	allowed   int64         // grid slots of this group of pictures to decode
	planned   int64         // slot of the last packet let through, intra-only streams
}

func newGridSampler(fps float64, shed *shedder) *gridSampler {
	s := &gridSampler{fps: fps, shed: shed}
	s.Reset()
	return s
}

func (s *gridSampler) Reset() {
	*s = gridSampler{fps: s.fps, shed: s.shed, slot: -1, planned: -1}
}

func (s *gridSampler) Packet(p PacketInfo) (Decision, string) {
	if s.shed == nil {
		return DecodePacket, ""
	}
	if p.Keyframe {
		s.keyframe(p)
	} else {
		s.sinceKey++
		s.intra = false
	}
	keep := s.shed.Keep()
	if s.intra {
		return s.intraOnly(p, keep)
	}
	if s.skipping {
		return SkipUntilKey, "overload"
	}
	if keep < 1 && !p.Keyframe {
		if s.spent(p, keep) {
			s.skipping = true
			return SkipUntilKey, "overload"
		}
		if p.Disposable && !s.due(p.PTS, p.Duration, s.slot) {
			return SkipPacket, "overload"
		}
	}
	s.shed.observe(p.Lag)
	return DecodePacket, ""
}

// spent says that the group of pictures has had its share. Shares are whole
// inferences; what is left over is carried to the next group, so that the mean is
// right and equal for streams with different groups.
func (s *gridSampler) spent(p PacketInfo, keep float64) bool {
	if s.fps <= 0 {
		return p.PTS-s.gopStart >= time.Duration(keep*float64(s.period()))
	}
	slot := s.slotOf(p.PTS, p.Duration)
	used := slot - s.slotOf(s.gopStart, p.Duration)
	return used >= s.allowed || used == s.allowed-1 && slot == s.slot
}

// period is the length of the group of pictures being shed from: unknown or
// endless ones (WebRTC sends keyframes only when asked) count as two seconds,
// after which WantsKeyframe is true.
func (s *gridSampler) period() time.Duration {
	if s.gopLength == 0 {
		return endlessGOP
	}
	return s.gopLength
}

const endlessGOP = 2 * time.Second

// WantsKeyframe says that a keyframe asked for now would be decoded.
func (s *gridSampler) WantsKeyframe(pts time.Duration) bool {
	return s.skipping && pts-s.gopStart >= max(s.period(), endlessGOP)
}

func (s *gridSampler) keyframe(p PacketInfo) {
	s.intra = s.sinceKey == 0 && s.gopLength+s.gopStart > 0
	if d := p.PTS - s.gopStart; d > 0 {
		s.gopLength = d
	}
	s.gopStart, s.sinceKey, s.skipping = p.PTS, 0, false
	if !s.intra && s.fps > 0 {
		s.credit += min(1, s.shed.Keep()) * s.period().Seconds() * s.fps
		s.allowed = int64(s.credit)
		s.credit -= float64(s.allowed)
	}
}

// intraOnly lets through only what will be inferred, less what overload costs.
func (s *gridSampler) intraOnly(p PacketInfo, keep float64) (Decision, string) {
	if !s.due(p.PTS, p.Duration, s.planned) {
		return SkipPacket, "sampled"
	}
	s.planned = s.slotOf(p.PTS, p.Duration)
	if s.credit += keep; s.credit < 1 {
		return SkipPacket, "overload"
	}
	s.credit--
	s.shed.observe(p.Lag)
	return DecodePacket, ""
}

func (s *gridSampler) Frame(pts, duration time.Duration) bool {
	if !s.due(pts, duration, s.slot) {
		return false
	}
	s.slot = s.slotOf(pts, duration)
	return true
}

func (s *gridSampler) due(pts, duration time.Duration, last int64) bool {
	return s.fps <= 0 || s.slotOf(pts, duration) > last
}

// slotOf numbers the grid's slots so that the frame nearest to a grid point is
// the first of its slot, however the camera's clock jitters.
func (s *gridSampler) slotOf(pts, duration time.Duration) int64 {
	if s.fps <= 0 {
		return 0
	}
	half := duration / 2
	if half <= 0 {
		half = 10 * time.Millisecond
	}
	return int64((pts + half).Seconds() * s.fps)
}

func (s *gridSampler) Result([]detect.Track) {}

var _ Sampler = (*gridSampler)(nil)
