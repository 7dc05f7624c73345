package web

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/webrtc"
)

// What a browser and another library offer, shortened.
const (
	head          = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
	chromiumOffer = head + "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 100 102 103 104 106 108 109 127 45\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n" +
		"a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
		"a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\na=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\n" +
		"a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n" +
		"a=rtpmap:104 H264/90000\r\na=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\n" +
		"a=rtpmap:106 H264/90000\r\na=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n" +
		"a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n" +
		"a=rtpmap:127 H264/90000\r\na=fmtp:127 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n" +
		"a=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=0;tier=0\r\n"
	aiortcOffer = head + "m=video 9 UDP/TLS/RTP/SAVPF 97 99 101\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\n" +
		"a=rtpmap:97 VP8/90000\r\na=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1;level-asymmetry-allowed=1;profile-level-id=42001f\r\n" +
		"a=rtpmap:101 H264/90000\r\na=fmtp:101 packetization-mode=1;level-asymmetry-allowed=1;profile-level-id=42e01f\r\n"
)

// keyframe is a parameter set of a profile and a slice.
func keyframe(profile byte) ingest.Packet {
	return ingest.Packet{Codec: ingest.H264, Keyframe: true, Data: []byte{0, 0, 0, 1, 0x67, profile, 0, 31, 0, 0, 1, 0x65, 0x88}}
}

func TestTheFormatThatSuitsIsChosen(t *testing.T) {
	for _, c := range []struct {
		name, offer string
		first       ingest.Packet
		want        int // payload type, or status
	}{
		{"profile unknown", chromiumOffer, ingest.Packet{Codec: ingest.H264, Data: []byte{0, 0, 1, 0x41, 1}}, 106},
		{"main", chromiumOffer, keyframe(0x4d), 127},
		{"baseline", chromiumOffer, keyframe(0x42), 102},
		{"high, which is not offered", chromiumOffer, keyframe(0x64), 106},
		{"high to aiortc", aiortcOffer, keyframe(0x64), 101},
		{"VP8", chromiumOffer, ingest.Packet{Codec: ingest.VP8}, 96},
		{"VP9", chromiumOffer, ingest.Packet{Codec: ingest.VP9}, 98},
		{"AV1", chromiumOffer, ingest.Packet{Codec: ingest.AV1}, 45},
		{"not in the offer", aiortcOffer, ingest.Packet{Codec: ingest.AV1}, 406},
		{"only without fragments", strings.ReplaceAll(chromiumOffer, "packetization-mode=1", "packetization-mode=0"), keyframe(0x42), 406},
		{"no SDP", "hello", keyframe(0x42), 400},
		{"no video", head, keyframe(0x42), 400},
		{"video refused", strings.Replace(chromiumOffer, "m=video 9", "m=video 0", 1), keyframe(0x42), 400},
		{"format is no number", strings.Replace(chromiumOffer, "SAVPF 96", "SAVPF x", 1), keyframe(0x42), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := chosen(c.offer, c.first)
			if refused, ok := err.(*refusal); ok {
				if refused.status != c.want {
					t.Errorf("status %d (%v), want %d", refused.status, err, c.want)
				}
			} else if err != nil || int(got.PayloadType) != c.want {
				t.Errorf("payload type %d, %v; want %d", got.PayloadType, err, c.want)
			}
		})
	}
}

func TestOffersThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, stream, kind, offer string
		codec                     ingest.Codec
		want                      int
	}{
		{"not SDP", "gate", "application/json", chromiumOffer, ingest.H264, 415},
		{"too large", "gate", "application/sdp", strings.Repeat("a", webrtc.MaxSDP+1), ingest.H264, 413},
		{"unknown stream", "nobody", "application/sdp", chromiumOffer, ingest.H264, 404},
		{"codec that is never sent", "gate", "application/sdp", chromiumOffer, ingest.MJPEG, 406},
		{"H.265", "gate", "application/sdp", chromiumOffer, ingest.H265, 406},
		{"codec that is not offered", "gate", "application/sdp; charset=utf-8", aiortcOffer, ingest.VP9, 406},
		{"nonsense", "gate", "application/sdp", "v=0", ingest.H264, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFake(t, onLoopback)
			p.packets <- ingest.Packet{Codec: c.codec, Keyframe: true}
			r := httptest.NewRequest("POST", "/whep/"+c.stream, strings.NewReader(c.offer))
			r.Host = "localhost"
			r.Header.Set("Content-Type", c.kind)
			if w := request(t, p, r); w.Code != c.want {
				t.Errorf("status %d, want %d: %s", w.Code, c.want, w.Body)
			}
		})
	}
}

func TestNoMoreViewersThanPlaces(t *testing.T) {
	v := newViewers(newFake(t, onLoopback), nil)
	for range mostViewers {
		if !v.enter() {
			t.Fatal("a place is missing")
		}
	}
	if v.enter() {
		t.Error("one too many")
	}
	v.leave()
	if !v.enter() {
		t.Error("a place that was left is not free")
	}
	v.leave()
	v.close()
	if v.enter() {
		t.Error("somebody comes in after the end")
	}
}

func TestBacklogBeginsWithTheLatestKeyframe(t *testing.T) {
	for text, want := range map[string]string{
		"pp": "", "pkpp": "kpp", "kppkp": "kp", "kpb": "", "kpbpp": "", "kpbkp": "kp",
		"k" + strings.Repeat("p", longestBacklog): "", "k" + strings.Repeat("p", longestBacklog) + "kp": "kp",
	} {
		var b backlog
		for _, c := range text {
			b.add(ingest.Packet{Keyframe: c == 'k', Break: c == 'b', Data: []byte(string(c))})
		}
		got := ""
		for _, p := range b {
			got += string(p.Data)
		}
		if got != want {
			t.Errorf("of %s is kept %q, want %q", text, got, want)
		}
	}
}

func TestPicturesInAnotherOrderEndASession(t *testing.T) {
	for name, c := range map[string]struct {
		pts  []int
		want error
	}{
		"in order":            {[]int{0, 40, 80, 120}, nil},
		"the clock stumbles":  {[]int{0, 40, 20, 60, 100}, nil},
		"pictures in between": {[]int{0, 120, 40, 80, 240, 160, 200, 360, 280}, errReordered},
	} {
		o := outlet{codec: ingest.H264, waiting: true} // no keyframe comes, so nothing is sent
		var err error
		for _, ms := range c.pts {
			if err = o.send(ingest.Packet{Codec: ingest.H264, Epoch: "1", PTS: time.Duration(ms) * time.Millisecond}); err != nil {
				break
			}
		}
		if fmt.Sprint(err) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	o := outlet{codec: ingest.H264}
	if err := o.send(ingest.Packet{Codec: ingest.VP8}); err != errChanged {
		t.Errorf("another codec: %v", err)
	}
}
