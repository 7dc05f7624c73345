package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"

	"sightline/ingest"
	ingestrtc "sightline/ingest/webrtc"
)

// format is how a codec travels in RTP.
type format struct {
	name      string // in SDP
	payloader func() rtp.Payloader
}

// formats are the codecs that browsers take over WebRTC.
var formats = map[ingest.Codec]format{
	ingest.H264: {"H264", func() rtp.Payloader { return &codecs.H264Payloader{} }},
	ingest.VP8:  {"VP8", func() rtp.Payloader { return &codecs.VP8Payloader{EnablePictureID: true} }},
	ingest.VP9:  {"VP9", func() rtp.Payloader { return &codecs.VP9Payloader{} }},
	ingest.AV1:  {"AV1", func() rtp.Payloader { return &codecs.AV1Payloader{} }},
}

const clockRate = 90000

// chosen finds the payload type of an offer that suits the stream best.
func chosen(offer string, first ingest.Packet) (webrtc.RTPCodecParameters, error) {
	none := webrtc.RTPCodecParameters{}
	session, err := ingestrtc.ParseSDP(offer)
	if err != nil {
		return none, refuse(http.StatusBadRequest, "%v", err)
	}
	at := slices.IndexFunc(session.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return m.MediaName.Media == "video" && m.MediaName.Port.Value != 0
	})
	if at < 0 {
		return none, refuse(http.StatusBadRequest, "the offer asks for no video")
	}
	name := formats[first.Codec].name
	best, bestScore := none, 0
	for _, text := range session.MediaDescriptions[at].MediaName.Formats {
		number, err := strconv.ParseUint(text, 10, 7)
		if err != nil {
			return none, refuse(http.StatusBadRequest, "the body is not an SDP offer")
		}
		c, err := session.GetCodecForPayloadType(uint8(number))
		if err != nil || !strings.EqualFold(c.Name, name) {
			continue
		}
		if score := suits(first, c.Fmtp); score > bestScore {
			bestScore = score
			best = webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(number), RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: "video/" + name, ClockRate: clockRate, SDPFmtpLine: c.Fmtp,
				RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}},
			}}
		}
	}
	if bestScore == 0 {
		return none, refuse(http.StatusNotAcceptable, "%s is not in the offer: use frame.jpg", first.Codec)
	}
	return best, nil
}

// suits says how well an offered format suits the stream; 0 is not at all. H.264
// travels in fragments (packetization-mode 1), best under its own profile, which
// a keyframe tells, else under constrained baseline. Browsers decode any profile
// under any label.
func suits(first ingest.Packet, fmtp string) int {
	values := map[string]string{}
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		values[strings.ToLower(key)] = strings.ToLower(value)
	}
	switch first.Codec {
	case ingest.H264:
		level := values["profile-level-id"]
		switch {
		case values["packetization-mode"] != "1":
			return 0
		case profile(first.Data) != "" && strings.HasPrefix(level, profile(first.Data)):
			return 3
		case strings.HasPrefix(level, "42e0"):
			return 2
		}
	case ingest.VP9:
		if p := values["profile-id"]; p != "" && p != "0" {
			return 0
		}
	}
	return 1
}

// profile is profile_idc in hex of the parameter set in an access unit; "" when
// it holds none.
func profile(au []byte) string {
	for nal := range ingest.NALs(au) {
		if len(nal) > 1 && nal[0]&0x1f == 7 {
			return strconv.FormatUint(uint64(nal[1]), 16)
		}
	}
	return ""
}

// newPeer makes a peer connection that sends in the chosen format from the
// pipeline's ports.
func newPeer(codec webrtc.RTPCodecParameters, ports *ingestrtc.Ports) (*webrtc.PeerConnection, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	i := &interceptor.Registry{}
	if err := webrtc.ConfigureNack(m, i); err != nil {
		return nil, err
	}
	if err := webrtc.ConfigureRTCPReports(i); err != nil {
		return nil, err
	}
	e := ports.Settings()
	e.SetICETimeouts(viewerSilent, viewerLost, viewerAlive)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(i), webrtc.WithSettingEngine(e)).
		NewPeerConnection(webrtc.Configuration{})
}
