package rtsp

import (
	"maps"
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"

	"sightline/ingest"
	"sightline/ingest/rtp"
)

const (
	opening = "v=0\r\no=- 1700000000 1 IN IP4 10.0.0.3\r\ns=Session\r\nt=0 0\r\n"
	// Parameter sets of a 1920×1080 H.264 and a 176×144 H.265 stream.
	sets264 = "Z0LAKNkAeAIn5YQAAAMABAAAAwDwPGDJIA==,aM48gA=="
	sets265 = "sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwAelZgJ;sprop-sps=QgEBAWAAAAMAkAAAAwAAAwAeoBYgJFllZpJMrwFoCAAAAwAIAAADAKBA;sprop-pps=RAHBcrRiQA=="
)

// Descriptions as cameras send them, and the track that is read.
var descriptions = map[string]struct {
	sdp     string
	codec   ingest.Codec
	control string
	params  int
}{
	"video, audio and metadata": {opening + "a=control:*\r\na=range:npt=now-\r\n" +
		"m=audio 0 RTP/AVP 8\r\nb=AS:64\r\na=control:rtsp://10.0.0.3/s1/audio\r\na=rtpmap:8 PCMA/8000\r\n" +
		"m=video 0 RTP/AVP 98\r\nb=AS:5000\r\na=control:rtsp://10.0.0.3/s1/video\r\na=rtpmap:98 H264/90000\r\n" +
		"a=fmtp:98 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets=" + sets264 + "\r\n" +
		"m=application 0 RTP/AVP 107\r\na=control:rtsp://10.0.0.3/s1/meta\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n",
		ingest.H264, "rtsp://10.0.0.3/s1/video", 2},
	"two videos": {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 " + sets265 + "\r\na=control:track1\r\n" +
		"m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=control:track2\r\n", ingest.H265, "track1", 3},
	"the first that is supported": {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 jpeg2000/90000\r\na=control:track1\r\n" +
		"m=video 0 RTP/AVP 97\r\na=rtpmap:97 MP4V-ES/90000\r\na=control:track2\r\n" +
		"m=video 0 RTP/AVP 98\r\na=rtpmap:98 VP8/90000\r\na=control:track3\r\n", ingest.VP8, "track3", 0},
	"several formats of one": {opening + "m=video 0 RTP/AVP 34 99\r\na=rtpmap:34 H263/90000\r\na=rtpmap:99 h264/90000\r\na=control:v\r\n", ingest.H264, "v", 0},
	"interleaved units":      {opening + "m=video 0 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=2\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 packetization-mode=0\r\n", ingest.H264, "", 0},
	"reordered units":        {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-max-don-diff=4\r\n", "", "", 0},
	"a way back": {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=sendonly\r\na=control:back\r\n" +
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\na=control:there\r\n", ingest.AV1, "there", 0},
	"motion jpeg":              {opening + "m=video 0 RTP/AVP 26\r\na=control:v\r\na=x-dimensions:1920,1080\r\n", ingest.MJPEG, "v", 0},
	"motion jpeg by name":      {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 JPEG/90000\r\n", ingest.MJPEG, "", 0},
	"vp9 with feedback":        {opening + "m=video 9 RTP/AVPF 96\r\na=rtpmap:96 VP9/90000\r\na=rtcp-fb:96 nack pli\r\n", ingest.VP9, "", 0},
	"ports and lines of ages":  {opening + "i=x\r\nu=not a url %%\r\nm=video 49170/2 RTP/AVP 96\r\nc=IN IP4 nowhere/x\r\nb=?\r\nk=prompt\r\na=rtpmap:96 H264/90000\r\na=framerate:25,0\r\n", ingest.H264, "", 0},
	"newlines alone, padding":  {strings.ReplaceAll(opening, "\r", "") + "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\n\x00\x00", ingest.H264, "", 0},
	"hardly a session":         {"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", ingest.H264, "", 0},
	"names that clash":         {opening + "a=group:FEC 1 7\r\nm=video 0 RTP/AVP 96\r\na=mid:1-a\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\na=mid:1-a\r\n", ingest.H264, "", 0},
	"sets that are none":       {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-sps=QgEB;sprop-vps=!\r\n", ingest.H265, "", 0},
	"sets that are none, mode": {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=?,?;packetization-mode=2\r\n", "", "", 0},
	"settings that are none":   {opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=x\r\n", ingest.H264, "", 0},
	"a broken neighbor":        {opening + "m=video 0 RTP/AVP\r\nm=gesture 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 97\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", ingest.H264, "", 0},
	"sound only":               {opening + "m=audio 0 RTP/AVP 0\r\n", "", "", 0},
	"nothing":                  {"", "", "", 0},
}

func TestChoose(t *testing.T) {
	for name, c := range descriptions {
		t.Run(name, func(t *testing.T) {
			got, err := choose(readOffer([]byte(c.sdp)))
			if (err != nil) != (c.codec == "") || got.codec != c.codec || len(got.params) != c.params {
				t.Fatalf("%q with %d parameter sets (%v), want %q with %d", got.codec, len(got.params), err, c.codec, c.params)
			}
			if err == nil && got.media.Control != c.control {
				t.Errorf("control %q, want %q", got.media.Control, c.control)
			}
		})
	}
	long := opening + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 " + strings.Repeat("x", 5000) + "/90000\r\n"
	if _, err := choose(readOffer([]byte(long))); err == nil || len(err.Error()) > 200 {
		t.Errorf("%v: a name is told at full length", err)
	}
}

func TestExtensions(t *testing.T) {
	text := opening + "a=extmap:1 urn:general\r\na=extmap:2/recvonly urn:two with more\r\n" +
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=extmap:2 urn:own\r\na=extmap:0 urn:zero\r\na=extmap:256 urn:large\r\na=extmap:14\r\n" +
		"m=video 0 RTP/AVP 97\r\na=extmap:5 urn:other\r\n"
	got, err := choose(readOffer([]byte(text)))
	if want := map[uint8]string{1: "urn:general", 2: "urn:own"}; err != nil || !maps.Equal(got.extensions, want) {
		t.Errorf("%v (%v), want %v", got.extensions, err, want)
	}
}

// FuzzDescribe lets anything be a description. What is left of it must be one
// that the library takes, section for section, and never a panic.
func FuzzDescribe(f *testing.F) {
	for _, c := range descriptions {
		f.Add([]byte(c.sdp))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o := readOffer(body)
		if len(o.sections) > maxSections || len(o.names) > maxNames+1 {
			t.Fatalf("%d sections, %d names", len(o.sections), len(o.names))
		}
		if text := o.text(); text != nil {
			var lines sdp.SessionDescription
			var session description.Session
			if err := lines.Unmarshal(text); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
			if err := session.Unmarshal(&lines); err != nil || len(session.Medias) != len(o.sections) {
				t.Fatalf("%v: %d medias of %d in %q", err, len(session.Medias), len(o.sections), text)
			}
		}
		track, err := choose(o)
		if err != nil {
			return
		}
		if _, err := rtp.NewReceiver("gate", "1", track.codec, track.format.ClockRate(), track.params); err != nil {
			t.Fatalf("%s: %v", track.codec, err)
		}
	})
}
