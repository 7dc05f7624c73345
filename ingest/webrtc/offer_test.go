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
	"a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\na=rtpmap:99 VP9/90000\r\na=fmtp:99 profile-id=1\r\n" +
	"a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\na=rtpmap:49 H265/90000\r\na=fmtp:49 level-id=93;tx-mode=SRST\r\n" +
	"a=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=0;tier=0\r\na=rtpmap:46 AV1/90000\r\na=fmtp:46 profile=1\r\n" +
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
		{"first supported", browser, "[98]"},
		{"every profile of H.264", strings.Replace(browser, "98 96 97 ", "97 ", 1), "[102 104]"},
		{"VP9", strings.Replace(browser, "98 96 97 102 104 106 39", "99 98 100", 1), "[98 100]"},
		{"AV1", strings.Replace(browser, "98 96 97 102 104 106 39", "46 45", 1), "[45]"},
		{"H.265", strings.Replace(browser, "98 96 97 102 104 106 39", "49 45", 1), "[49]"},
		{"a codec behind a profile of it that is not supported", strings.Replace(browser, "98 96 97 102 104 106 39", "99 96", 1), "[96]"},
		{"none", strings.Replace(browser, "98 96 97 102 104 106", "46 106 97", 1), "AV1, h264, rtx; supported are H264"},
		{"receives only", strings.ReplaceAll(browser, "sendonly", "recvonly"), errNoVideo.Error()},
		{"declined", strings.Replace(browser, "m=video 9", "m=video 0", 1), errNoVideo.Error()},
		{"garbage", "m=video", errBadOffer.Error()},
		{"1000 sections", browser + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 1000), "1002 media sections"},
		{"1000 formats", strings.Replace(browser, "98 96", strings.Repeat("96 ", 1000)+"98 96", 1), "formats"},
		{"1000 candidates", browser + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", 1000), "1000 candidates"},
		{"10000 attributes", browser + strings.Repeat("a=x\r\n", 10000), "attributes"},
		{"a megabyte", browser + strings.Repeat("a", 1<<20), "longer"},
	} {
		o, err := parseOffer(c.offer)
		codecs := o.video
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

// What the library would refuse, or wait for in vain, is taken out of an offer.
func TestOfferIsSimplified(t *testing.T) {
	o, err := parseOffer(browser + "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"a=rid", "a=simulcast", " 39"} { // 39 is a format that nothing explains
		if strings.Contains(o.sdp, gone) {
			t.Errorf("%q is still there", gone)
		}
	}
	if !strings.Contains(o.sdp, "m=video 9 UDP/TLS/RTP/SAVPF 98 96 97 102 104 106\r\n") {
		t.Errorf("what is left is\n%s", o.sdp)
	}
	plain := strings.Replace(browser, " 39", "", 1)
	if o, err := parseOffer(plain); err != nil || o.sdp != plain {
		t.Errorf("a plain offer is changed (%v)", err)
	}
}
