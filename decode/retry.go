package decode

import (
	"time"

	"sightline/ingest"
)

// Pauses before a device that refused a decoder is tried again, which doubles them: it
// may have had no room, and have some later.
const (
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// retry is when a device that refused is tried again. The zero value is never.
type retry struct {
	at    time.Time
	pause time.Duration
}

// later sets the next time.
func (r *retry) later() {
	r.pause = min(max(2*r.pause, firstPause), longestPause)
	r.at = time.Now().Add(r.pause)
}

// due tells whether the time has come, at a keyframe that needs nothing before it: so
// the decoder in use shows all it has, and no picture is missing.
func (r *retry) due(p ingest.Packet, s start) bool {
	return !r.at.IsZero() && p.Keyframe && s.kind == closed && !time.Now().Before(r.at)
}

// passing tells whether what kept the open decoder from the device may pass: FFmpeg
// chose the device, and that failed.
func (d *decoder) passing() bool { return d.config.GPU != nil && d.av.DeviceFailed() }
