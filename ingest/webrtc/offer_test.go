package webrtc

import (
	"fmt"
	"strings"
	"testing"

	pion "github.com/pion/webrtc/v3"
)

// browser is the video part of a browser's offer, with lines to change.
const browser = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 98 96 97 102 104 106 39\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\n" +
	"a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n" +
	"a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f\r\n" +
	"a=rtpmap:104 H264/90000\r\na=fmtp:104 packetization-mode=0;profile-level-id=42c015\r\n" +
	"a=rtpmap:106 h264/90000\r\na=fmtp:106 packetization-mode=2;profile-level-id=42c015\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"

func payloadTypes(codecs []pion.RTPCodecParameters) (types []int) {
	for _, c := range codecs {
		types = append(types, int(c.PayloadType))
	}
	return types
}

func TestOfferedCodecs(t *testing.T) {
	for _, c := range []struct {
		name, offer string
		want        string // payload types, or what the error says
	}{
		{"first supported", browser, "[96]"},
		{"every profile of H.264", strings.Replace(browser, "98 96 97 ", "98 97 ", 1), "[102 104]"},
		{"none", strings.Replace(browser, "98 96 97 102 104 106", "98 106", 1), "VP9, h264; supported are H264"},
		{"receives only", strings.ReplaceAll(browser, "sendonly", "recvonly"), errNoVideo.Error()},
		{"declined", strings.Replace(browser, "m=video 9", "m=video 0", 1), errNoVideo.Error()},
		{"garbage", "m=video", errBadOffer.Error()},
	} {
		codecs, err := offeredCodecs(c.offer)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		case err == nil && !strings.HasPrefix(c.want, "["):
			t.Errorf("%s: %v, want %s", c.name, payloadTypes(codecs), c.want)
		case err == nil && fmt.Sprint(payloadTypes(codecs)) != c.want:
			t.Errorf("%s: %v, want %s", c.name, payloadTypes(codecs), c.want)
		}
	}
}

func FuzzOffer(f *testing.F) {
	f.Add(browser)
	f.Add(strings.Replace(browser, "98 96", "300 x", 1))
	f.Fuzz(func(t *testing.T, offer string) {
		codecs, err := offeredCodecs(offer)
		if (len(codecs) == 0) == (err == nil) {
			t.Errorf("%d codecs and %v", len(codecs), err)
		}
	})
}
