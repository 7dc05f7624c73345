package hls

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	dated := time.Date(2024, 2, 3, 4, 5, 6, 789e6, time.UTC)
	got, err := parse([]byte("\xef\xbb\xbf#EXTM3U\r\n#EXT-X-VERSION:7\r\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:17\n\n" +
		"#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"720@8\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k,1\",IV=0X000102030405060708090A0B0C0D0E0F\n" +
		"#EXT-X-PROGRAM-DATE-TIME:2024-02-03T04:05:06.789Z\n#EXTINF:3.5,a title, with comma\n#EXT-X-BYTERANGE:100@50\na.mp4\n" +
		"#EXT-X-PART:DURATION=0.5,URI=\"part\"\n#EXTINF:4\n#EXT-X-BYTERANGE:60\na.mp4\n" +
		"# a remark\n#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-GAP\n#EXTINF:4,\nb.mp4\n#EXT-X-ENDLIST\n"))
	if err != nil {
		t.Fatal(err)
	}
	head := part{"init.mp4", 8, 720}
	secret := key{"AES-128", "k,1", []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
	want := playlist{target: 4 * time.Second, ended: true, segments: []segment{
		{part: part{"a.mp4", 50, 100}, number: 17, duration: 3500 * time.Millisecond, captured: dated, header: head, key: secret},
		{part: part{"a.mp4", 150, 60}, number: 18, duration: 4 * time.Second, captured: dated.Add(3500 * time.Millisecond), header: head, key: secret},
		{part: part{"b.mp4", 0, 0}, number: 19, duration: 4 * time.Second, discontinuity: true, missing: true, header: head},
	}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(playlist{}, segment{}, part{}, key{}, variant{})); d != "" {
		t.Error(d)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                         "not an HLS playlist",
		"#EXTINF:1\na.ts":                          "not an HLS playlist",
		"#EXTM3U\n# remark":                        "lists nothing",
		"#EXTM3U\n#EXTINF:-1\na":                   "EXTINF: not a number of seconds",
		"#EXTM3U\n#EXTINF:NaN\na":                  "EXTINF: not a number of seconds",
		"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-5":        "EXT-X-MEDIA-SEQUENCE: not a number",
		"#EXTM3U\n#EXT-X-BYTERANGE:0@5\na":         "not a range of bytes",
		"#EXTM3U\n#EXT-X-KEY:METHOD=A,IV=0x12\na":  "IV is not 128 bits",
		"#EXTM3U\n" + strings.Repeat("a\n", 70000): "too long",
		"#EXTM3U\n" + strings.Repeat("#EXT-X-BYTERANGE:9007199254740992\na\n", 200): "a range too far",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParse holds any text to what the rest relies on.
func FuzzParse(f *testing.F) {
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.5,\na.ts\n#EXT-X-ENDLIST\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"1@2\"\n#EXT-X-BYTERANGE:5\n#EXTINF:1\na\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1x1,CODECS=\"avc1\"\nv.m3u8\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x00\n#EXT-X-PROGRAM-DATE-TIME:2024-02-03T04:05:06+0100\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parse(text)
		if err != nil {
			return
		}
		for i, s := range list.segments {
			if s.uri == "" || s.duration < 0 || s.duration > maxDuration || s.offset < 0 || s.length < 0 || s.header.offset < 0 ||
				s.number < 0 || i > 0 && s.number != list.segments[i-1].number+1 || s.key.iv != nil && len(s.key.iv) != 16 {
				t.Errorf("segment %d: %+v", i, s)
			}
		}
		for _, v := range list.variants {
			if v.pixels < 0 || v.bandwidth < 0 || v.uri == "" {
				t.Errorf("variant %+v", v)
			}
		}
	})
}
