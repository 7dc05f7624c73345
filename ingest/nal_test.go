package ingest

import (
	"bytes"
	"slices"
	"testing"
)

// au joins NAL units behind start codes, every second one a short one.
func au(units ...[]byte) []byte {
	var b []byte
	for i, u := range units {
		if i%2 == 0 {
			b = append(b, 0)
		}
		b = append(append(b, 0, 0, 1), u...)
	}
	return b
}

var (
	aud     = []byte{0x09, 0xf0}
	sps     = []byte{0x67, 0x42, 0x00, 0x1e, 0x95}
	pps     = []byte{0x68, 0xce, 0x38, 0x80}
	idr     = []byte{0x65, 0x88, 0x84, 0x21}
	refP    = []byte{0x41, 0x9a, 0x21, 0x6c}
	nonRefB = []byte{0x01, 0x9e, 0x41, 0x78}
	refI    = []byte{0x61, 0x88, 0x84, 0x21}
	// SEI: 16 bytes of user data, then a recovery point at once, or after frames.
	recovery = append(append([]byte{0x06, 0x05, 0x10}, bytes.Repeat([]byte{0xaa}, 16)...), 0x06, 0x01, 0xc4, 0x80)
	refresh  = []byte{0x06, 0x06, 0x01, 0x24, 0x80}

	vps5      = []byte{0x40, 0x01, 0x0c}
	sps5      = []byte{0x42, 0x01, 0x01}
	pps5      = []byte{0x44, 0x01, 0xc1}
	idr5      = []byte{0x26, 0x01, 0xaf} // IDR_W_RADL
	cra5      = []byte{0x2a, 0x01, 0xaf}
	trailR5   = []byte{0x02, 0x01, 0xd0}
	trailN5   = []byte{0x00, 0x01, 0xd0}
	raslN5    = []byte{0x10, 0x01, 0xd0}
	suffSEI5  = []byte{0x50, 0x01, 0x84}
	prefixSEI = []byte{0x4e, 0x01, 0x05}
)

func TestInspect(t *testing.T) {
	for _, c := range []struct {
		name            string
		inspect         func([]byte) (bool, bool)
		au              []byte
		key, disposable bool
	}{
		{"idr", InspectH264, au(aud, sps, pps, idr), true, false},
		{"idr alone", InspectH264, au(idr), true, false},
		{"reference", InspectH264, au(aud, refP), false, false},
		{"not referred to", InspectH264, au(aud, nonRefB), false, true},
		{"recovery point", InspectH264, au(aud, recovery, refI), true, false},
		{"gradual refresh", InspectH264, au(aud, refresh, refP), false, false},
		{"parameter sets alone", InspectH264, au(sps, pps), false, false},
		{"no start code", InspectH264, []byte{0x65, 0x88}, false, false},
		{"start code alone", InspectH264, []byte{0, 0, 0, 1}, false, false},
		{"empty", InspectH264, nil, false, false},
		{"h265 idr", InspectH265, au(vps5, sps5, pps5, prefixSEI, idr5), true, false},
		{"h265 clean random access", InspectH265, au(cra5), true, false},
		{"h265 reference", InspectH265, au(trailR5, suffSEI5), false, false},
		{"h265 trailing, not referred to", InspectH265, au(trailN5), false, true},
		{"h265 leading, not referred to", InspectH265, au(raslN5), false, true},
		{"h265 nothing", InspectH265, au(suffSEI5), false, false},
	} {
		key, disposable := c.inspect(c.au)
		if key != c.key || disposable != c.disposable {
			t.Errorf("%s: keyframe %v, disposable %v", c.name, key, disposable)
		}
	}
}

func TestNALs(t *testing.T) {
	want := [][]byte{aud, sps, pps, idr}
	if got := slices.Collect(NALs(append(au(want...), 0, 0, 0))); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("units % x", got)
	}
}

func TestParameterSets(t *testing.T) {
	s := ParameterSets{Codec: H264}
	s.Add(pps) // as out of band, in any order
	s.Add(sps)
	s.Add(aud)
	if got := s.Complete(au(refP), false); !bytes.Equal(got, au(refP)) {
		t.Errorf("a picture in between became % x", got)
	}
	got := slices.Collect(NALs(s.Complete(au(idr), true)))
	if !slices.EqualFunc(got, [][]byte{sps, pps, idr}, bytes.Equal) {
		t.Errorf("a bare keyframe became % x", got)
	}
	sps2, pps2 := []byte{0x67, 0x4d, 0x00, 0x28}, []byte{0x68, 0xee, 0x3c}
	whole := au(sps2, pps2, idr)
	if got := s.Complete(whole, true); &got[0] != &whole[0] {
		t.Error("a whole keyframe was copied")
	}
	got = slices.Collect(NALs(s.Complete(au(idr), true)))
	if !slices.EqualFunc(got, [][]byte{sps2, pps2, idr}, bytes.Equal) {
		t.Errorf("after new sets a bare keyframe became % x", got)
	}
	sps3 := []byte{0x67, 0x4d, 0x00, 0x2a}
	got = slices.Collect(NALs(s.Complete(au(sps3, idr), true)))
	if !slices.EqualFunc(got, [][]byte{sps3, pps2, sps3, idr}, bytes.Equal) {
		t.Errorf("a keyframe with a new SPS and no PPS became % x", got)
	}
	pps1 := []byte{0x68, 0x4e, 0x38} // id 1
	s.Add(pps1)
	got = slices.Collect(NALs(s.Complete(au(idr), true)))
	if !slices.EqualFunc(got, [][]byte{sps3, pps2, pps1, idr}, bytes.Equal) {
		t.Errorf("with two ids a bare keyframe became % x", got)
	}
	for i := range 256 {
		s.Add([]byte{0x68, 0x01, byte(i)}) // ids 127 to 254
	}
	if len(s.units) != maxParameterSets {
		t.Errorf("%d sets are remembered", len(s.units))
	}

	h := ParameterSets{Codec: H265}
	h.Complete(au(pps5, sps5, idr5), true)
	if h.Whole() {
		t.Error("without a video parameter set decoding could start")
	}
	h.Complete(au(vps5, trailR5), false)
	if !h.Whole() {
		t.Error("a set of each type was not enough")
	}
	got = slices.Collect(NALs(h.Complete(au(cra5), true)))
	if !slices.EqualFunc(got, [][]byte{vps5, sps5, pps5, cra5}, bytes.Equal) {
		t.Errorf("a bare H.265 keyframe became % x", got)
	}
}

// In a stream with two temporal layers, the upper may refer to pictures that no
// other of the lower refers to.
func TestInspectLayers(t *testing.T) {
	twoLayers, upperN := []byte{0x42, 0x01, 0x03}, []byte{0x00, 0x02, 0xd0}
	for _, c := range []struct {
		sps, picture []byte
		disposable   bool
	}{
		{sps5, trailN5, true}, {sps5, trailR5, false}, {twoLayers, trailN5, false}, {twoLayers, upperN, true}, {nil, trailN5, true},
	} {
		s := ParameterSets{Codec: H265}
		s.Add(c.sps)
		if key, disposable := s.Inspect(au(c.picture)); key || disposable != c.disposable {
			t.Errorf("% x after % x: keyframe %v, disposable %v", c.picture, c.sps, key, disposable)
		}
	}
}

// The ids of sequence parameter sets as x265 writes them, with emulation bytes,
// and with two temporal layers.
func TestH265SequenceID(t *testing.T) {
	plain := []byte{0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d}
	layers := []byte{0x42, 0x01, 0x03, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d, 0x40, 0, 0x5a}
	for _, head := range [][]byte{plain, layers} {
		for want, bits := range []byte{0xa0, 0x50, 0x70} {
			if got := h265SequenceID(append(slices.Clone(head), bits, 0x02)); got != uint(want) {
				t.Errorf("% x %x: id %d, want %d", head, bits, got, want)
			}
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(au(aud, sps, pps, recovery, idr))
	f.Add(au(vps5, sps5, pps5, idr5))
	f.Add([]byte{0, 0, 1, 6, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, inspect := range []func([]byte) (bool, bool){InspectH264, InspectH265} {
			if key, disposable := inspect(b); key && disposable {
				t.Error("a disposable keyframe")
			}
		}
		for _, codec := range []Codec{H264, H265} {
			s := ParameterSets{Codec: codec}
			s.Complete(b, true)
			if got := s.Complete(b, true); !bytes.HasSuffix(got, b) {
				t.Errorf("% x became % x", b, got)
			}
		}
	})
}
