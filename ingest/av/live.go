// Package av is what sources that read a container have in common: how its
// packets become ingest's, and how live ones are read through FFmpeg.
package av

import (
	"time"

	"sightline/ingest"
)

// Format is what a container says about its video before the first picture.
type Format struct {
	Codec     ingest.Codec
	Config    []byte            // the codec's configuration as the container has it, or nil; is kept
	Container *ingest.Container // see ingest.Packet
	IntraOnly bool              // every picture stands alone
	Rotation  int               // see ingest.Packet
}

// Unit is one access unit as a container has it.
type Unit struct {
	Data       []byte        // is copied
	PTS, DTS   time.Duration // on the container's clock, whatever its origin
	Duration   time.Duration // 0 unknown
	Keyframe   bool          // as the container says; H.264 and H.265 are looked at themselves
	Disposable bool          // the same
	Lost       bool          // something in front of it is missing
	Arrival    time.Time     // when it was complete here
	// Due is when it would have arrived if every picture came as soon as it was
	// taken; zero is Arrival. It places pictures that arrive many at a time.
	Due time.Time
	// Captured is when it was captured, where the stream says that, and Clock how
	// well that is known; zero: it is told from the arrivals.
	Captured time.Time
	Clock    ingest.Clock
}

const (
	clockRate = 90_000
	// maxStepBack is how far decoding times may run backwards before the sender is
	// taken to have begun its times anew.
	maxStepBack = time.Second
	// wrap is where the 33-bit times of MPEG transport streams begin anew.
	wrap = (1 << 33) * 100_000 / 9 * time.Nanosecond
	// maxWait is how long a pause between two pictures is at most taken to have been
	// where times begin anew.
	maxWait = 10 * time.Second
)

// Live turns the access units of one live epoch into packets: from the first
// picture on that decoding can start with, with presentation and capture times.
// It is used by one goroutine.
type Live struct {
	packet   ingest.Packet // what all packets have in common
	intra    bool
	convert  Converter
	timeline *ingest.Timeline

	running  bool // the first keyframe was handed out
	lost     bool // something in front of the next unit was
	withheld int

	timed       bool
	shift, last time.Duration // added to the container's times; the last decoding time, shifted
	lastArrival time.Time
}

// NewLive starts an epoch. It fails where the codec's configuration is damaged.
func NewLive(stream, epoch string, f Format) (*Live, error) {
	l := &Live{
		packet: ingest.Packet{
			Stream: stream, Epoch: epoch, Codec: f.Codec, Container: f.Container, Rotation: f.Rotation,
		},
		intra: f.IntraOnly, timeline: ingest.NewTimeline(clockRate),
	}
	return l, l.Configure(f.Config)
}

// Configure takes a new configuration of the same codec, which it keeps. Packets
// carry it from the next one on where the codec does not say it in band.
func (l *Live) Configure(config []byte) error {
	if err := l.convert.Configure(l.packet.Codec, config); err != nil {
		return err
	}
	if !inBand(l.packet.Codec) {
		l.packet.Extradata = config
	}
	return nil
}

// Running tells whether the first keyframe was handed out.
func (l *Live) Running() bool { return l.running }

// Withheld is how many units came that nothing can be decoded from.
func (l *Live) Withheld() int { return l.withheld }

// Push takes the next unit in decoding order and calls emit for the packet it
// becomes, if any. It returns emit's error.
func (l *Live) Push(u Unit, emit func(ingest.Packet) error) error {
	data, err := l.convert.Convert(u.Data)
	l.lost = l.lost || u.Lost || err != nil
	if len(data) == 0 {
		return nil
	}
	p := l.packet
	p.Keyframe, p.Disposable = l.convert.Inspect(data, u.Keyframe || l.intra, u.Disposable)
	p.Data = l.convert.Complete(data, p.Keyframe)
	first := !l.running
	if first && !(p.Keyframe && l.convert.Ready()) {
		l.withheld++
		return nil
	}
	l.running = true
	due := u.Due
	if due.IsZero() {
		due = u.Arrival
	}
	at := l.timeline.At(l.ticks(u), due)
	if at.PTS < 0 { // shown before the picture that decoding began with
		l.withheld++
		return nil
	}
	p.PTS, p.Duration = at.PTS, u.Duration
	p.Captured, p.Clock, p.Received = at.Captured, at.Clock, u.Arrival.UTC()
	if !u.Captured.IsZero() {
		p.Captured, p.Clock = u.Captured.UTC(), u.Clock
	}
	p.Break = !first && (l.lost || at.Jump)
	l.lost = false
	return emit(p)
}

// ticks is the unit's presentation time on the timeline's clock. Where decoding
// times run backwards they wrapped, or the sender began anew: they go on.
func (l *Live) ticks(u Unit) uint32 {
	back := l.last - (u.DTS + l.shift)
	switch {
	case !l.timed || back <= maxStepBack:
	case (back - wrap).Abs() <= maxWait:
		l.shift += wrap
	default:
		l.shift += back + min(max(u.Arrival.Sub(l.lastArrival), time.Millisecond), maxWait)
		l.lost = true
	}
	l.timed, l.last, l.lastArrival = true, u.DTS+l.shift, u.Arrival
	t := u.PTS + l.shift
	return uint32(int64(t/time.Second)*clockRate + (int64(t%time.Second)*clockRate+int64(time.Second)/2)/int64(time.Second))
}
