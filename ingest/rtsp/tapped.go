package rtsp

import (
	"slices"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	pionrtp "github.com/pion/rtp"
)

// tapped is a format whose packets are taken as they arrive. Over UDP the library
// holds what follows a gap until 64 packets wait, however long that takes: seconds
// of a slow stream. It asks the format about each packet before that, decrypted
// and parsed, on the goroutine that reads it; and it makes its reports of all of
// them as ever.
type tapped struct {
	format.Format
	take func(*pionrtp.Packet)

	heard  bool
	sender uint32 // SSRC of the first packet: the library keeps to that, and complains of others
}

// tap puts a tap in front of one format of a media, which it does not change.
func tap(media *description.Media, video format.Format, take func(*pionrtp.Packet)) (*description.Media, *tapped) {
	t := &tapped{Format: video, take: take}
	changed := *media
	changed.Formats = slices.Clone(media.Formats)
	changed.Formats[slices.Index(changed.Formats, video)] = t
	return &changed, t
}

// PTSEqualsDTS implements format.Format. The library calls it once with each
// packet received.
func (t *tapped) PTSEqualsDTS(packet *pionrtp.Packet) bool {
	if !t.heard {
		t.heard, t.sender = true, packet.SSRC
	}
	if packet.SSRC == t.sender {
		t.take(packet)
	}
	return t.Format.PTSEqualsDTS(packet)
}
