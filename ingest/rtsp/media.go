package rtsp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"sightline/ingest"
)

// track is the part of a session that is read: one video format.
type track struct {
	section
	format format.Format
	codec  ingest.Codec
	params [][]byte // parameter sets that the session description names
}

// choose takes the first video track in a format that can be depacketized.
func choose(o offered) (track, error) {
	for _, s := range o.sections {
		if s.media.IsBackChannel {
			continue
		}
		for _, f := range s.media.Formats {
			t := track{section: s, format: f}
			if t.codec, t.params = codecOf(f); t.codec != "" {
				return t, nil
			}
		}
	}
	switch {
	case len(o.names) == 0:
		return track{}, errors.New("the camera offers no stream at all")
	case len(o.sections) == 0:
		return track{}, fmt.Errorf("the camera's description of %s cannot be read", strings.Join(o.names, ", "))
	}
	return track{}, fmt.Errorf("the camera offers %s; supported are H.264, H.265, VP8, VP9, AV1, M-JPEG",
		strings.Join(o.names, ", "))
}

func codecOf(f format.Format) (ingest.Codec, [][]byte) {
	switch f := f.(type) {
	case *format.H264:
		if f.PacketizationMode > 1 {
			return "", nil
		}
		sps, pps := f.SafeParams()
		return ingest.H264, present(sps, pps)
	case *format.H265:
		if f.MaxDONDiff != 0 {
			return "", nil
		}
		vps, sps, pps := f.SafeParams()
		return ingest.H265, present(vps, sps, pps)
	case *format.VP8:
		return ingest.VP8, nil
	case *format.VP9:
		return ingest.VP9, nil
	case *format.AV1:
		return ingest.AV1, nil
	case *format.MJPEG:
		return ingest.MJPEG, nil
	case *format.Generic: // the library knows Motion JPEG by its static payload type alone
		if strings.EqualFold(f.RTPMa, "JPEG/90000") {
			return ingest.MJPEG, nil
		}
	}
	return "", nil
}

func present(sets ...[]byte) [][]byte {
	var out [][]byte
	for _, s := range sets {
		if len(s) > 0 {
			out = append(out, s)
		}
	}
	return out
}
