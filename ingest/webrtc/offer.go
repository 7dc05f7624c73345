package webrtc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v3"

	"sightline/ingest"
)

var (
	errNoVideo   = errors.New("the offer sends no video")
	errBadOffer  = errors.New("the body is not an SDP offer")
	errBadAnswer = errors.New("the offer cannot be answered")
)

// codecError names what was offered in vain.
type codecError struct{ offered []string }

func (e codecError) Error() string {
	return fmt.Sprintf("the offer has %s; supported are H264 (packetization-mode 0 and 1) and VP8", strings.Join(e.offered, ", "))
}

// offeredCodecs lists what can be received of an offer's first video section: the
// first supported codec with all parameters that it is offered with, so that any
// H.264 profile gets its own answer and the codec cannot change in mid-session.
func offeredCodecs(offer string) ([]pion.RTPCodecParameters, error) {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(offer); err != nil {
		return nil, errBadOffer
	}
	at := slices.IndexFunc(session.MediaDescriptions, sendsVideo)
	if at < 0 {
		return nil, errNoVideo
	}
	var codecs []pion.RTPCodecParameters
	var chosen ingest.Codec
	var others []string
	for _, format := range session.MediaDescriptions[at].MediaName.Formats {
		number, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			return nil, errBadOffer
		}
		codec, err := session.GetCodecForPayloadType(uint8(number))
		if err != nil {
			continue // a format that the offer does not explain
		}
		kind, ok := codecOf(codec.Name, codec.Fmtp)
		if !ok && !slices.Contains(others, codec.Name) {
			others = append(others, codec.Name)
		}
		if chosen == "" {
			chosen = kind
		}
		if !ok || kind != chosen {
			continue
		}
		codecs = append(codecs, pion.RTPCodecParameters{
			PayloadType: pion.PayloadType(number),
			RTPCodecCapability: pion.RTPCodecCapability{
				MimeType: "video/" + codec.Name, ClockRate: clockRate, SDPFmtpLine: codec.Fmtp,
				RTCPFeedback: []pion.RTCPFeedback{
					{Type: "nack"}, {Type: "nack", Parameter: "pli"},
					{Type: "ccm", Parameter: "fir"}, {Type: "goog-remb"},
				},
			},
		})
	}
	if len(codecs) == 0 {
		return nil, codecError{others}
	}
	return codecs, nil
}

// offeredSound lists the audio formats of an offer. They are known only to be
// answered: a section without any known format would be refused, and where it is
// the offer's first, the library puts our candidates into the refused section.
func offeredSound(offer string) []pion.RTPCodecParameters {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(offer); err != nil {
		return nil
	}
	var codecs []pion.RTPCodecParameters
	for _, media := range session.MediaDescriptions {
		if media.MediaName.Media != "audio" {
			continue
		}
		for _, format := range media.MediaName.Formats {
			number, err := strconv.ParseUint(format, 10, 7)
			if err != nil {
				continue
			}
			codec, err := session.GetCodecForPayloadType(uint8(number))
			if err != nil {
				continue
			}
			channels, _ := strconv.ParseUint(codec.EncodingParameters, 10, 16) // absent: 0
			codecs = append(codecs, pion.RTPCodecParameters{
				PayloadType: pion.PayloadType(number),
				RTPCodecCapability: pion.RTPCodecCapability{
					MimeType: "audio/" + codec.Name, ClockRate: codec.ClockRate,
					Channels: uint16(channels), SDPFmtpLine: codec.Fmtp,
				},
			})
		}
	}
	return codecs
}

func sendsVideo(m *sdp.MediaDescription) bool {
	_, receives := m.Attribute("recvonly")
	_, inactive := m.Attribute("inactive")
	return m.MediaName.Media == "video" && m.MediaName.Port.Value != 0 && !receives && !inactive
}

// codecOf maps an offered format to what can be depacketized.
func codecOf(name, fmtp string) (ingest.Codec, bool) {
	switch strings.ToUpper(name) {
	case "VP8":
		return ingest.VP8, true
	case "H264":
		return ingest.H264, !strings.Contains(fmtp, "packetization-mode=2")
	}
	return "", false
}
