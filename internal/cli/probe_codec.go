package cli

import (
	"bytes"
	"fmt"

	"sightline/ingest"
)

// profileOf names the profile and level of an H.264 or H.265 keyframe, "" of
// anything else: the first bytes of its sequence parameter set (ITU-T H.264
// 7.3.2.1.1, H.265 7.3.3) say them.
func profileOf(p ingest.Packet) string {
	for nal := range ingest.NALs(p.Data) {
		// A level is never so low that bytes are escaped in front of it, but
		// constraint flags may all be 0.
		b := bytes.ReplaceAll(nal[:min(len(nal), 24)], []byte{0, 0, 3}, []byte{0, 0})
		switch {
		case p.Codec == ingest.H264 && b[0]&0x1f == 7 && len(b) >= 4:
			return fmt.Sprintf("%s %.1f", h264Profile(b[1], b[2]), float64(b[3])/10)
		case p.Codec == ingest.H265 && b[0]>>1&0x3f == 33 && len(b) >= 15:
			return fmt.Sprintf("%s %.1f", h265Profile(b[3]&0x1f), float64(b[14])/30)
		}
	}
	return ""
}

// h264Profile is annex A.2's name.
func h264Profile(idc, constraints byte) string {
	switch idc {
	case 66:
		if constraints&0x40 != 0 {
			return "Constrained Baseline"
		}
		return "Baseline"
	case 77:
		return "Main"
	case 88:
		return "Extended"
	case 100:
		return "High"
	case 110:
		return "High 10"
	case 122:
		return "High 4:2:2"
	case 244:
		return "High 4:4:4"
	}
	return fmt.Sprintf("profile %d", idc)
}

// h265Profile is annex A.3's name.
func h265Profile(idc byte) string {
	switch idc {
	case 1:
		return "Main"
	case 2:
		return "Main 10"
	case 3:
		return "Main Still Picture"
	case 4:
		return "Range Extensions"
	}
	return fmt.Sprintf("profile %d", idc)
}
