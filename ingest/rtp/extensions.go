package rtp

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"sightline/ingest"
)

// AbsCaptureTime is the URI of the header extension with a picture's capture
// time (webrtc.org/experiments/rtp-hdrext/abs-capture-time).
const AbsCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

const (
	// replayProfile marks ONVIF's replay header (ONVIF Streaming Specification,
	// RTP header extension). Cameras send it on live streams, too.
	replayProfile = 0xabac
	// replaySize is its length: an NTP time stamp, then bits C, E and D, the low
	// byte of the RTSP sequence number and padding, which say nothing about time.
	// More may follow, as for JPEG.
	replaySize = 12
)

// extensions reads capture times from RTP headers. It is safe for concurrent use.
type extensions struct {
	captureID atomic.Uint32 // 0: not negotiated
	malformed atomic.Uint64
}

// set takes what was negotiated.
func (e *extensions) set(ids map[uint8]string) {
	e.captureID.Store(0)
	for id, uri := range ids {
		if uri == AbsCaptureTime {
			e.captureID.Store(uint32(id))
		}
	}
}

// captured returns the capture time that a packet's header tells for the
// packet's RTP time; not ok where it tells none.
func (e *extensions) captured(h *rtp.Header) (at time.Time, source ingest.ClockSource, ok bool) {
	if !h.Extension {
		return time.Time{}, "", false
	}
	switch h.ExtensionProfile {
	case replayProfile:
		source = ingest.ClockONVIF
		at, ok = replayTime(h.GetExtension(0))
	case rtp.ExtensionProfileOneByte, rtp.ExtensionProfileTwoByte:
		id := uint8(e.captureID.Load())
		if id == 0 {
			return time.Time{}, "", false
		}
		payload := h.GetExtension(id)
		if payload == nil {
			return time.Time{}, "", false
		}
		source = ingest.ClockAbsCapture
		at, ok = captureTime(payload)
	default:
		return time.Time{}, "", false
	}
	if !ok {
		e.malformed.Add(1)
	}
	return at, source, ok
}

// captureTime reads abs-capture-time on the clock of the sender's own reports:
// capture clock = sender's clock + the offset that may follow the stamp.
func captureTime(b []byte) (time.Time, bool) {
	if len(b) != 8 && len(b) != 16 {
		return time.Time{}, false
	}
	stamp := binary.BigEndian.Uint64(b)
	if stamp == 0 {
		return time.Time{}, false
	}
	if len(b) == 16 {
		stamp -= binary.BigEndian.Uint64(b[8:]) // two's complement
	}
	return FromNTP(stamp), true
}

// replayTime reads the NTP stamp that ONVIF's header begins with.
func replayTime(b []byte) (time.Time, bool) {
	if len(b) < replaySize {
		return time.Time{}, false
	}
	stamp := binary.BigEndian.Uint64(b)
	return FromNTP(stamp), stamp != 0
}
