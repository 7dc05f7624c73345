package av

import (
	"bytes"
	"testing"

	"sightline/ingest"
)

// FuzzConvert holds any configuration and packet to what ingest.Packet promises.
func FuzzConvert(f *testing.F) {
	f.Add(false, avcC(4), []byte{0, 0, 0, 2, 0x06, 0x05, 0, 0, 0, 3, 0x65, 0x88, 0x84})
	f.Add(false, avcC(1), []byte{2, 0x06, 0x05, 3, 0x65, 0x88, 0x84})
	f.Add(false, []byte{0, 0, 0, 1, 0x67, 0x42, 0, 0x1e}, []byte{0, 0, 1, 0x65, 0x88, 0x84})
	f.Add(true, append(make([]byte, 22), 1, 0x20, 0, 1, 0, 3, 0x40, 1, 0x0c), []byte{2, 0x26, 1})
	f.Fuzz(func(t *testing.T, h265 bool, config, data []byte) {
		codec := ingest.H264
		if h265 {
			codec = ingest.H265
		}
		var c Converter
		configured := c.Configure(codec, config)
		given := bytes.Clone(data)
		out, err := c.Convert(data)
		if !bytes.Equal(given, data) {
			t.Error("the packet was changed")
		}
		if c.length > 0 && len(out) > 0 && !bytes.HasPrefix(out, []byte{0, 0, 0, 1}) {
			t.Errorf("% x became % x", data, out)
		}
		if c.length == 0 && (err != nil || !bytes.Equal(out, data)) {
			t.Errorf("% x became % x, %v", data, out, err)
		}
		if len(out) > 5*len(data) {
			t.Errorf("%d bytes became %d", len(data), len(out))
		}
		if whole := c.Complete(out, true); configured == nil && !bytes.HasSuffix(whole, out) {
			t.Errorf("% x was completed to % x", out, whole)
		}
		c.Ready()
	})
}
