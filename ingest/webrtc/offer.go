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
	errBadAnswer = errors.New("the offer cannot be answered")
)

// codecError names what was offered in vain.
type codecError struct{ offered []string }

func (e codecError) Error() string {
	return fmt.Sprintf("the offer has %s; supported are H264 (packetization-mode 0 and 1), H265, VP8, VP9 (profiles 0 and 2) and AV1 (profile 0)", strings.Join(e.offered, ", "))
}

// offer is what a publisher offers, checked.
type offer struct {
	sdp    string
	video  []pion.RTPCodecParameters
	sound  []pion.RTPCodecParameters
	ufrags map[string]bool
}

// parseOffer checks an offer as far as that can be done without a peer connection,
// so that a bad one costs nobody anything.
func parseOffer(text string) (offer, error) {
	session, err := ParseSDP(text)
	if err != nil {
		return offer{}, err
	}
	video, err := offeredCodecs(session)
	if err != nil {
		return offer{}, err
	}
	o := offer{sdp: text, video: video, sound: offeredSound(session), ufrags: ufrags(session)}
	unexplained, simulcast := dropUnexplained(session), dropSimulcast(session)
	if unexplained || simulcast {
		data, err := session.Marshal()
		if err != nil {
			return offer{}, errBadOffer
		}
		o.sdp = string(data)
	}
	return o, nil
}

// dropUnexplained takes formats out of an offer that it says nothing about, for
// which the library would refuse it all, and says whether there were any.
func dropUnexplained(session *sdp.SessionDescription) (dropped bool) {
	for _, m := range session.MediaDescriptions {
		if m.MediaName.Media != "video" && m.MediaName.Media != "audio" {
			continue
		}
		known := slices.DeleteFunc(slices.Clone(m.MediaName.Formats), func(format string) bool {
			number, err := strconv.ParseUint(format, 10, 7)
			if err == nil {
				_, err = session.GetCodecForPayloadType(uint8(number))
			}
			return err != nil
		})
		if len(known) > 0 && len(known) < len(m.MediaName.Formats) {
			m.MediaName.Formats, dropped = known, true
		}
	}
	return dropped
}

// dropSimulcast takes out that a picture may come in several sizes, and says
// whether it was offered: without it in the answer one is sent, the first.
func dropSimulcast(session *sdp.SessionDescription) (dropped bool) {
	for _, m := range session.MediaDescriptions {
		before := len(m.Attributes)
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool { return a.Key == "simulcast" || a.Key == "rid" })
		dropped = dropped || len(m.Attributes) < before
	}
	return dropped
}

// offeredCodecs lists what can be received of an offer's first video section: the
// first supported codec with all parameters that it is offered with, so that any
// H.264 profile gets its own answer and the codec cannot change in mid-session.
func offeredCodecs(session *sdp.SessionDescription) ([]pion.RTPCodecParameters, error) {
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
		if ok && chosen == "" {
			chosen = kind
		}
		if !ok || kind != chosen {
			continue
		}
		codecs = append(codecs, videoCodec(codec.Name, pion.PayloadType(number), codec.Fmtp))
	}
	if len(codecs) == 0 {
		return nil, codecError{others}
	}
	return codecs, nil
}

// offeredSound lists the audio formats of an offer. They are known only to be
// answered: a section without any known format would be refused, and where it is
// the offer's first, the library puts our candidates into the refused section.
func offeredSound(session *sdp.SessionDescription) []pion.RTPCodecParameters {
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

// videoCodec is a codec as we receive it: what is lost is asked for again, and so
// are keyframes.
func videoCodec(name string, number pion.PayloadType, fmtp string) pion.RTPCodecParameters {
	return pion.RTPCodecParameters{
		PayloadType: number,
		RTPCodecCapability: pion.RTPCodecCapability{
			MimeType: "video/" + name, ClockRate: clockRate, SDPFmtpLine: fmtp,
			RTCPFeedback: []pion.RTCPFeedback{
				{Type: "nack"}, {Type: "nack", Parameter: "pli"},
				{Type: "ccm", Parameter: "fir"}, {Type: "goog-remb"},
			},
		},
	}
}

// codecOf maps an offered format to what can be depacketized. Other profiles of
// VP9 and AV1 are of pictures with more color than is decoded here.
func codecOf(name, fmtp string) (ingest.Codec, bool) {
	switch strings.ToUpper(name) {
	case "VP8":
		return ingest.VP8, true
	case "VP9":
		profile := parameter(fmtp, "profile-id")
		return ingest.VP9, profile == "" || profile == "0" || profile == "2"
	case "AV1":
		profile := parameter(fmtp, "profile")
		return ingest.AV1, profile == "" || profile == "0"
	case "H264":
		return ingest.H264, parameter(fmtp, "packetization-mode") != "2"
	case "H265":
		return ingest.H265, true
	}
	return "", false
}

// parameter is the value of a key in a format's parameters, "" without it.
func parameter(fmtp, name string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
