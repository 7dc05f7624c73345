package file

import (
	"time"

	"sightline/internal/libav"
)

const (
	// defaultInterval is for files that say nothing about time, as for a still
	// picture or a raw stream without timing.
	defaultInterval = 40 * time.Millisecond
	// maxStepBack is how far decoding times may run backwards before the file is
	// taken to be two recordings behind each other.
	maxStepBack = time.Second
)

// times gives each packet of a pass its times, from 0.
type times struct {
	interval time.Duration
	shift    int64 // taken off the file's times
	started  bool

	frames int64 // packets so far
	group  int64 // packets before the last one from which pictures are numbered anew
	lastAt time.Duration
	end    time.Duration // when the last picture ends
}

func newTimes(s libav.Stream) *times {
	t := &times{interval: s.FrameInterval}
	if t.interval <= 0 {
		t.interval = defaultInterval
	}
	if s.Start != libav.NoTime {
		t.shift, t.started = s.Start, true
	}
	return t
}

// next returns when p's picture is shown and when p is to be decoded, since the
// pass's start. What the file leaves out is derived from the order of pictures
// and the frame rate.
func (t *times) next(p *libav.Packet) (pts, dts time.Duration) {
	shown, at := p.PTS, p.DTS
	if p.Picture == 0 {
		t.group = t.frames
	}
	if at == libav.NoTime {
		at = t.shift + t.frames*int64(t.interval)
	}
	if shown == libav.NoTime {
		shown = at
		if p.Picture >= 0 {
			shown = t.shift + (t.group+int64(p.Picture))*int64(t.interval)
		}
	}
	t.frames++
	if !t.started {
		t.shift, t.started = shown, true
	}
	dts = time.Duration(at - t.shift)
	if dts < t.lastAt-maxStepBack {
		t.shift -= int64(t.lastAt + t.interval - dts)
		dts = t.lastAt + t.interval
	}
	t.lastAt = max(t.lastAt, dts)
	pts = max(time.Duration(shown-t.shift), 0)
	length := p.Duration
	if length <= 0 {
		length = t.interval
	}
	t.end = max(t.end, pts+length)
	return pts, dts
}
