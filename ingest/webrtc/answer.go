package webrtc

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v3"
)

var (
	errBadServer = errors.New("the server's answer is no session description that can be read")
	errNotOffers = errors.New("the server's answer is an offer of its own, which is not supported")
	errNoPicture = errors.New("the server sends no video")
)

// pulled are the formats that we offer to receive, those first that cameras send.
// Servers match H.264 by profile, so each is there.
func pulled() []pion.RTPCodecParameters {
	codecs := []pion.RTPCodecParameters{}
	for i, profile := range []string{"42e01f", "42001f", "4d001f", "64001f"} {
		const rest = "level-asymmetry-allowed=1;profile-level-id="
		codecs = append(codecs,
			videoCodec("H264", pion.PayloadType(102+2*i), "packetization-mode=1;"+rest+profile),
			videoCodec("H264", pion.PayloadType(112+2*i), "packetization-mode=0;"+rest+profile))
	}
	return append(codecs,
		videoCodec("H265", 49, ""),
		videoCodec("VP8", 96, ""),
		videoCodec("VP9", 98, "profile-id=0"),
		videoCodec("VP9", 100, "profile-id=2"),
		videoCodec("AV1", 45, ""))
}

// checkAnswer says what is wrong with a server's answer.
func checkAnswer(text string) error {
	session, err := ParseSDP(text)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadServer, err)
	}
	offers := func(m *sdp.MediaDescription) bool {
		setup, _ := m.Attribute("setup")
		return setup == "actpass" // an answer decides
	}
	switch {
	case slices.ContainsFunc(session.MediaDescriptions, offers):
		return errNotOffers
	case !slices.ContainsFunc(session.MediaDescriptions, sendsVideo):
		return errNoPicture
	}
	return nil
}
