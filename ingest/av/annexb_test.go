package av

import (
	"bytes"
	"testing"

	"sightline/ingest"
)

// avcC is a configuration with one sequence and one picture parameter set and
// sizes of length bytes.
func avcC(length byte) []byte {
	return []byte{1, 0x42, 0, 0x1e, 0xfc | (length - 1), 0xe1, 0, 4, 0x67, 0x42, 0, 0x1e, 1, 0, 3, 0x68, 0xce, 0x38}
}

func TestConvert(t *testing.T) {
	want := []byte{0, 0, 0, 1, 0x06, 0x05, 0, 0, 0, 1, 0x65, 0x88, 0x84}
	for _, c := range []struct {
		length byte
		data   []byte
		err    error
		want   []byte
	}{
		{1, []byte{2, 0x06, 0x05, 3, 0x65, 0x88, 0x84}, nil, want},
		{2, []byte{0, 2, 0x06, 0x05, 0, 3, 0x65, 0x88, 0x84}, nil, want},
		{4, []byte{0, 0, 0, 2, 0x06, 0x05, 0, 0, 0, 3, 0x65, 0x88, 0x84}, nil, want},
		{4, []byte{0, 0, 0, 2, 0x06, 0x05, 0, 0, 0, 4, 0x65, 0x88, 0x84}, errLength, want[:6]},
		{4, []byte{0, 0, 0, 2, 0x06, 0x05, 0, 0}, errLength, want[:6]},
		{4, []byte{0xff, 0xff, 0xff, 0xff, 0x06}, errLength, nil},
	} {
		var conv Converter
		if err := conv.Configure(ingest.H264, avcC(c.length)); err != nil {
			t.Fatal(err)
		}
		got, err := conv.Convert(c.data)
		if err != c.err || !bytes.Equal(got, c.want) {
			t.Errorf("% x became % x, error %v", c.data, got, err)
		}
		if c.err == nil {
			if got := conv.Complete(got, true); !bytes.HasPrefix(got, []byte{0, 0, 0, 1, 0x67, 0x42, 0, 0x1e, 0, 0, 0, 1, 0x68}) {
				t.Errorf("the keyframe begins with % x", got)
			}
		}
	}
}

// TestBrokenConfiguration cuts configurations at every byte.
func TestBrokenConfiguration(t *testing.T) {
	hvcC := append(make([]byte, 22), 1, 0x20, 0, 1, 0, 3, 0x40, 1, 0x0c)
	for codec, whole := range map[ingest.Codec][]byte{ingest.H264: avcC(4), ingest.H265: hvcC} {
		for cut := 1; cut < len(whole); cut++ {
			var conv Converter
			if err := conv.Configure(codec, whole[:cut]); err != errConfig {
				t.Errorf("%s cut to %d of %d bytes: error %v", codec, cut, len(whole), err)
			}
		}
		var conv Converter
		if err := conv.Configure(codec, whole); err != nil {
			t.Errorf("%s: %v", codec, err)
		}
	}
}
