package rtmp

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/ingest"
)

func TestAMF(t *testing.T) {
	want := []any{"connect", 1.5, true, nil, []any{"a", 2.0}, object{{"app", "live"}, {"deep", object{{"x", -1.0}}}}}
	got, err := parseAMF(appendAMF(nil, want...))
	if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(field{})) {
		t.Errorf("%v, %v", got, err)
	}
	for name, c := range map[string]struct {
		in   string
		want any
	}{
		"named array": {"\x08\x00\x00\x00\x09\x00\x01k\x05\x00\x00\x09", object{{"k", nil}}},
		"long string": {"\x0c\x00\x00\x00\x02hi", "hi"},
		"date":        {"\x0b\x40\x00\x00\x00\x00\x00\x00\x00\x00\x3c", 2.0},
	} {
		if got, err := parseAMF([]byte(c.in)); err != nil || len(got) != 1 || !cmp.Equal(got[0], c.want, cmp.AllowUnexported(field{})) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, in := range map[string]string{
		"unknown": "\x77", "cut": "\x02\x00\x05ab", "cut number": "\x00\x01", "endless object": "\x03\x00\x01a\x05",
		"deep": strings.Repeat("\x03\x00\x01a", 20), "many": "\x0a\x7f\xff\xff\xff" + strings.Repeat("\x05", 5000), "too many": strings.Repeat("\x05", 5000),
	} {
		if got, err := parseAMF([]byte(in)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func read1(t *testing.T, b []byte) []message {
	t.Helper()
	c := newChunkReader(bytes.NewReader(b))
	var all []message
	for {
		m, err := c.next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("after %d messages: %v", len(all), err)
		}
		all = append(all, m)
	}
}

// TestChunks reads messages in every form of header, two of them interleaved.
func TestChunks(t *testing.T) {
	in := []byte{0x02, 0, 0, 0, 0, 0, 4, kindChunkSize, 0, 0, 0, 0, 0, 0, 0, 3}
	in = append(in, 0x04, 0, 0, 100, 0, 0, 5, kindVideo, 1, 0, 0, 0, 'a', 'b', 'c') // 5 bytes at 100 ms
	in = append(in, 0x00, 1, 0, 0, 7, 0, 0, 1, kindAudio, 1, 0, 0, 0, 'x')          // chunk stream 65, whole
	in = append(in, 0xc4, 'd', 'e')
	in = append(in, 0x44, 0, 0, 40, 0, 0, 2, kindVideo, 'f', 'g')                                      // 40 ms later, another size
	in = append(in, 0x84, 0, 0, 40, 'h', 'i')                                                          // the same size
	in = append(in, 0xc4, 'j', 'k')                                                                    // and the same step
	in = append(in, 0x04, 0xff, 0xff, 0xff, 0, 0, 4, kindVideo, 1, 0, 0, 0, 1, 0, 0, 0, 'l', 'm', 'n') // time in 32 bits,
	in = append(in, 0xc4, 1, 0, 0, 0, 'o')                                                             // said again
	var got []string
	for _, m := range read1(t, in)[1:] {
		got = append(got, string(m.body), time.Duration(m.time).String())
	}
	want := []string{"x", "7ns", "abcde", "100ns", "fg", "140ns", "hi", "180ns", "jk", "220ns", "lmno", "16.777216ms"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestOwnMessages reads what we write.
func TestOwnMessages(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1000)
	b := appendMessage(nil, 2, message{kind: kindChunkSize, body: []byte{0, 0, outChunk >> 8, 0}})
	b = appendMessage(b, 3, message{kind: kindCommand, stream: 7, time: 5, body: body})
	b = appendMessage(b, 3, message{kind: kindAck})
	all := read1(t, b)
	if len(all) != 3 || !bytes.Equal(all[1].body, body) || all[1].stream != 7 || all[1].time != 5 || all[2].kind != kindAck {
		t.Errorf("%d messages", len(all))
	}
}

func TestHostileChunks(t *testing.T) {
	begin := func(id byte) []byte { return []byte{0x00, id, 0, 0, 0, 0xff, 0xff, 0xff, kindVideo, 0, 0, 0, 0} }
	size := []byte{0x02, 0, 0, 0, 0, 0, 4, kindChunkSize, 0, 0, 0, 0, 0x00, 0xff, 0xff, 0xff}
	var many []byte
	for id := range byte(200) {
		many = append(append(many, begin(id)...), make([]byte, 128)...)
	}
	// Two messages of 16 MiB, each but for its last byte.
	much := slices.Concat(size, begin(0), make([]byte, 0xfffffe), begin(1), make([]byte, 0xfffffe))
	much[12+3], much[len(much)-1] = 0xfe, 0
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"no header": {[]byte{0xc5}, errHeader},
		"channels":  {many, errChannels},
		"pending":   {much, errPending},
	} {
		r := newChunkReader(bytes.NewReader(c.in))
		for {
			if _, err := r.next(); err != nil {
				if err != c.want {
					t.Errorf("%s: %v, want %v", name, err, c.want)
				}
				break
			}
		}
	}
	r := newChunkReader(bytes.NewReader([]byte{0x02, 0, 0, 0, 0, 0, 4, kindChunkSize, 0, 0, 0, 0, 0, 0, 0, 0}))
	if _, err := r.next(); err == nil {
		t.Error("chunks of no size")
	}
}

func TestVideo(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want picture
		err  string
	}{
		"config":          {"\x17\x00\x00\x00\x00conf", picture{codec: ingest.H264, config: true, keyframe: true, data: []byte("conf")}, ""},
		"keyframe":        {"\x17\x01\x00\x00\x28data", picture{codec: ingest.H264, keyframe: true, composition: 40 * time.Millisecond, data: []byte("data")}, ""},
		"earlier":         {"\x27\x01\xff\xff\xd8data", picture{codec: ingest.H264, composition: -40 * time.Millisecond, data: []byte("data")}, ""},
		"end":             {"\x27\x02\x00\x00\x00", picture{codec: ingest.H264}, ""},
		"info":            {"\x57\x00\x00\x00\x00", picture{}, ""},
		"enhanced info":   {"\xd0\x01", picture{}, ""},
		"empty":           {"", picture{}, ""},
		"h265 of old":     {"\x1c\x01\x00\x00\x00data", picture{codec: ingest.H265, keyframe: true, data: []byte("data")}, ""},
		"sorenson":        {"\x12data", picture{}, "Flash's kind 2"},
		"cut":             {"\x17\x01\x00", picture{}, "damaged"},
		"enhanced config": {"\x90hvc1conf", picture{codec: ingest.H265, config: true, keyframe: true, data: []byte("conf")}, ""},
		"enhanced":        {"\xa1hvc1\x00\x00\x28data", picture{codec: ingest.H265, composition: 40 * time.Millisecond, data: []byte("data")}, ""},
		"enhanced x":      {"\xa3hvc1data", picture{codec: ingest.H265, data: []byte("data")}, ""},
		"av1":             {"\x91av01data", picture{codec: ingest.AV1, keyframe: true, data: []byte("data")}, ""},
		"vp9":             {"\xa1vp09data", picture{codec: ingest.VP9, data: []byte("data")}, ""},
		"metadata":        {"\x94hvc1data", picture{codec: ingest.H265, keyframe: true}, ""},
		"enhanced other":  {"\x90xxxxdata", picture{}, `"xxxx"`},
		"enhanced cut":    {"\x91hvc1\x00", picture{}, "damaged"},
	} {
		got, err := parseVideo([]byte(c.in))
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", name, err, c.err)
			}
		case err != nil || !cmp.Equal(got, c.want, cmp.AllowUnexported(picture{})):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzMessages reads any bytes as chunks and what is in them.
func FuzzMessages(f *testing.F) {
	f.Add(appendMessage(nil, 3, message{kind: kindCommand, body: appendAMF(nil, "onStatus", 0.0, nil, object{{"code", "x"}})}))
	f.Add(appendMessage(nil, 4, message{kind: kindVideo, body: []byte("\x17\x01\x00\x00\x28data")}))
	f.Add(appendMessage(nil, 4, message{kind: kindVideo, body: []byte("\xa1hvc1\x00\x00\x28data")}))
	f.Add(appendMessage(nil, 2, message{kind: kindChunkSize, body: []byte{0, 0, 0, 1}}))
	f.Add([]byte{0x04, 0xff, 0xff, 0xff, 0, 0, 4, 9, 1, 0, 0, 0, 1, 0, 0, 0, 'l', 'm', 'n', 'o', 0xc4, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newChunkReader(bytes.NewReader(b))
		for {
			m, err := c.next()
			if err != nil {
				break
			}
			if c.pending < 0 || c.pending > maxPending || len(c.channels) > maxChannels {
				t.Fatalf("%d bytes of %d channels", c.pending, len(c.channels))
			}
			over(m)
			if m.kind != kindVideo {
				continue
			}
			if p, err := parseVideo(m.body); err == nil && len(p.data) > 0 && (p.codec == "" || p.composition.Abs() > math.MaxInt32*time.Millisecond) {
				t.Errorf("%+v", p)
			}
		}
	})
}
