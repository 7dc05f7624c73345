package rtmp

import (
	"errors"
	"fmt"
	"time"

	"sightline/ingest"
)

// Codes of video in messages (Adobe's FLV specification, annex E.4.3, and Enhanced
// RTMP).
const (
	codecAVC, codecHEVC = 7, 12
	frameKey, frameInfo = 1, 5

	fourAVC, fourHEVC, fourAV1, fourVP9 = "avc1", "hvc1", "av01", "vp09"

	packetConfig, packetFrames, packetEnd, packetFramesX = 0, 1, 2, 3
)

// picture is what a video message holds: a configuration, or an access unit.
type picture struct {
	codec       ingest.Codec
	config      bool
	keyframe    bool
	composition time.Duration // presentation time minus decoding time
	data        []byte        // none where the message holds nothing of use
}

var errVideo = errors.New("damaged video message")

// codecError is that a codec is not supported.
type codecError struct{ what string }

func (e *codecError) Error() string {
	return fmt.Sprintf("the server sends %s; supported are H.264, H.265, AV1, VP9", e.what)
}

// parseVideo reads the body of a video message.
func parseVideo(b []byte) (picture, error) {
	if len(b) < 2 {
		return picture{}, nil // an empty one, as some servers send before the first
	}
	switch {
	case b[0]>>4&7 == frameInfo: // a word to the player
		return picture{}, nil
	case b[0]&0x80 != 0:
		return parseEnhanced(b)
	}
	p := picture{keyframe: b[0]>>4 == frameKey}
	switch b[0] & 0xf {
	case codecAVC:
		p.codec = ingest.H264
	case codecHEVC:
		p.codec = ingest.H265
	default:
		return p, &codecError{fmt.Sprintf("video of Flash's kind %d", b[0]&0xf)}
	}
	if len(b) < 5 {
		return p, errVideo
	}
	switch b[1] {
	case packetConfig:
		p.config, p.data = true, b[5:]
	case packetFrames:
		p.composition, p.data = composition(b[2:]), b[5:]
	}
	return p, nil
}

func parseEnhanced(b []byte) (picture, error) {
	if len(b) < 5 {
		return picture{}, errVideo
	}
	p := picture{keyframe: b[0]>>4&7 == frameKey}
	reordered := false
	switch string(b[1:5]) {
	case fourAVC:
		p.codec, reordered = ingest.H264, true
	case fourHEVC:
		p.codec, reordered = ingest.H265, true
	case fourAV1:
		p.codec = ingest.AV1
	case fourVP9:
		p.codec = ingest.VP9
	default:
		return p, &codecError{fmt.Sprintf("video of the kind %q", b[1:5])}
	}
	rest := b[5:]
	switch b[0] & 0xf {
	case packetConfig:
		p.config, p.data = true, rest
	case packetFramesX:
		p.data = rest
	case packetFrames:
		if !reordered {
			p.data = rest
			break
		}
		if len(rest) < 3 {
			return p, errVideo
		}
		p.composition, p.data = composition(rest), rest[3:]
	}
	return p, nil
}

// composition reads a signed number of 24 bits, in ms.
func composition(b []byte) time.Duration {
	return time.Duration(int32(uint24(b)<<8)>>8) * time.Millisecond
}
