package decode

import (
	"testing"

	"sightline/ingest"
)

func TestStartOf(t *testing.T) {
	nal := func(units ...[]byte) (au []byte) {
		for _, u := range units {
			au = append(append(au, 0, 0, 0, 1), u...)
		}
		return au
	}
	var (
		idr, p, b   = []byte{0x65, 0x88}, []byte{0x61, 0x9a}, []byte{0x01, 0x9a}
		exactNow    = []byte{0x06, 6, 1, 0b1_1_0_00_100, 0x80}             // count 0, exact
		exactLater  = []byte{0x06, 6, 1, 0b00100_1_0_1, 0x80}              // count 3, exact
		aboutLater  = []byte{0x06, 6, 1, 0b00100_0_0_1, 0x80}              // count 3, about right
		brokenNow   = []byte{0x06, 6, 1, 0b1_1_1_00_100, 0x80}             // count 0, exact, broken link
		secondInSEI = []byte{0x06, 1, 2, 9, 9, 6, 1, 0b1_1_0_00_100, 0x80} // after another message
		cutSEI      = []byte{0x06, 6, 200, 0xff}
		cra, idr265 = []byte{21 << 1, 1, 0x80}, []byte{19 << 1, 1, 0x80}
		trail       = []byte{1 << 1, 1, 0x80}
		refresh265  = []byte{39 << 1, 1, 6, 1, 0b00111_1_0_1, 0x80} // se(v) of code 6: -3
		refresh265b = []byte{39 << 1, 1, 6, 1, 0b00110_1_0_1, 0x80} // code 5: 3
	)
	for _, c := range []struct {
		name  string
		codec ingest.Codec
		au    []byte
		key   bool
		want  start
	}{
		{"IDR", ingest.H264, nal(idr), true, start{kind: closed}},
		{"P", ingest.H264, nal(p), false, start{}},
		{"I that its file vouches for", ingest.H264, nal(p), true, start{kind: open}},
		{"recovery at once", ingest.H264, nal(exactNow, p), false, start{kind: open}},
		{"broken link", ingest.H264, nal(brokenNow, p), false, start{kind: open, broken: true}},
		{"second message", ingest.H264, nal(secondInSEI, p), false, start{kind: open}},
		{"recovery later", ingest.H264, nal(exactLater, p), false, start{kind: refresh, count: 3}},
		{"and the file calls it a keyframe", ingest.H264, nal(exactLater, p), true, start{kind: refresh, count: 3}},
		{"on a picture nothing refers to", ingest.H264, nal(exactLater, b), false, start{kind: refresh, count: 4}},
		{"only about right", ingest.H264, nal(aboutLater, p), false, start{}},
		{"message cut short", ingest.H264, nal(cutSEI, p), false, start{}},
		{"no slice", ingest.H264, nal(exactNow), false, start{}},
		{"CRA", ingest.H265, nal(cra), true, start{kind: open}},
		{"IDR of H.265", ingest.H265, nal(idr265), true, start{kind: closed}},
		{"trailing", ingest.H265, nal(trail), false, start{}},
		{"H.265 recovered before", ingest.H265, nal(refresh265, trail), false, start{kind: open}},
		{"H.265 recovery later", ingest.H265, nal(refresh265b, trail), false, start{kind: refresh, count: 3}},
		{"VP8", ingest.VP8, []byte{0x10}, true, start{kind: closed}},
		{"a file's old codec", "mpeg4", []byte{1}, true, start{kind: open}},
	} {
		if got := startOf(ingest.Packet{Codec: c.codec, Data: c.au, Keyframe: c.key}); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if !decodable(ingest.Packet{Codec: ingest.H265, Data: nal([]byte{6 << 1, 1, 0x80})}) || decodable(ingest.Packet{Codec: ingest.H265, Data: nal([]byte{8 << 1, 1, 0x80})}) {
		t.Error("of leading pictures RADL can be decoded, RASL cannot")
	}
}
