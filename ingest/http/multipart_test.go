package http

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
	"testing/iotest"

	"sightline/ingest"
)

func stills(t testing.TB) (jpg, pic string) {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 24, 24))
	for i := range m.Pix {
		m.Pix[i] = byte(i*i>>3 + i)
	}
	var j, p bytes.Buffer
	if jpeg.Encode(&j, m, nil) != nil || png.Encode(&p, m) != nil {
		t.Fatal("no pictures")
	}
	return j.String(), p.String()
}

// TestMultipart reads the dialects of cameras: J is a picture, P a PNG. Each
// expected letter is one of them; x in front says that something was lost.
func TestMultipart(t *testing.T) {
	jpg, pic := stills(t)
	fill := strings.NewReplacer("J", jpg, "P", pic, "~", jpg[:len(jpg)/2])
	size := func(s string) string { return strings.ReplaceAll(s, "SIZE", itoa(len(jpg))) }
	for _, c := range []struct{ name, kind, body, want string }{
		{"by the book", "boundary=b", "--b\r\nContent-Type: image/jpeg\r\nContent-Length: SIZE\r\n\r\nJ\r\n--b\r\nContent-Type: image/jpeg\r\nContent-Length: SIZE\r\n\r\nJ\r\n--b--\r\n", "JJ"},
		{"preamble", "boundary=b", "hello\r\n\r\n--b\r\n\r\nJ\r\n--b\r\n\r\nJ", "JJ"},
		{"no length", "boundary=b", "--b\r\nContent-Type: image/jpeg\r\n\r\nJ\r\n--b\r\nContent-Type: image/jpeg\r\n\r\nJ\r\n", "JJ"},
		{"dashes announced", "boundary=--b", "--b\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n", "JJ"},
		{"dashes announced and added", "boundary=--b", "----b\r\n\r\nJ\r\n----b\r\n\r\nJ\r\n", "JJ"},
		{"no dashes at all", "boundary=frame", "frame\r\n\r\nJ\r\nframe\r\n\r\nJ\r\n", "JJ"},
		{"another boundary than announced", "boundary=frame", "--video\r\n\r\nJ\r\n--video\r\n\r\nJ\r\n", "JJ"},
		{"no boundary announced", "", "--b\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n", "JJ"},
		{"quoted, with spaces", `charset=x; boundary = "b c"; y=z`, "--b c\r\nContent-Length: SIZE\r\n\r\nJ\r\n--b c\r\n\r\nP\r\n--b c\r\n", "JP"},
		{"line feeds only", "boundary=b", "--b\nContent-Type: image/jpeg\nContent-Length: SIZE\n\nJ\n--b\nContent-Length: SIZE\n\nJ\n", "JJ"},
		{"no line behind a picture", "boundary=b", "--b\r\n\r\nJ--b\r\nContent-Length: SIZE\r\n\r\nJ--b\r\n\r\nJ", "JJJ"},
		{"no empty line in front of one", "boundary=b", "--b\r\nContent-Type: image/jpeg\r\nJ\r\n--b\r\nContent-Length: SIZE\r\nJ\r\n", "JJ"},
		{"pictures and nothing else", "boundary=b", "JJJ", "JJJ"},
		{"odd names of fields", "boundary=b", "--b\r\nContent-length : SIZE\r\ncontent-TYPE:image/jpg\r\nX-Timestamp: 12.5\r\nnonsense\r\n\r\nJ\r\n", "J"},
		{"PNG without length", "boundary=frame", "--frame\r\nContent-Type: image/png\r\n\r\nP\r\n--frame\r\n\r\nP\r\n--frame\r\n", "PP"},
		{"sound between", "boundary=b", "--b\r\nContent-Type: audio/basic\r\nContent-Length: 3\r\n\r\nabc\r\n--b\r\n\r\nJ\r\n--b\r\nContent-Type: text/plain\r\n\r\nmotion\r\n--b\r\n\r\nJ", "JJ"},
		{"length too short", "boundary=b", "--b\r\nContent-Length: 50\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n", "xJ"},
		{"length too long", "boundary=b", "--b\r\nContent-Length: #\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n", "JJ"},
		{"length of nothing", "boundary=b", "--b\r\nContent-Length: 0\r\n\r\n\r\n--b\r\nContent-Length: -7\r\n\r\nJ\r\n--b\r\nContent-Length: many\r\n\r\nJ\r\n", "JJ"},
		{"cut short", "boundary=b", "--b\r\n\r\nJ\r\n--b\r\n\r\n~\r\n--b\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n", "JxJ"},
		{"cut short, with its length", "boundary=b", "--b\r\nContent-Length: SIZE\r\n\r\nJ\r\n--b\r\nContent-Length: 300\r\n\r\n~\r\n--b\r\n\r\nJ\r\n--b\r\n\r\nJ\r\n", "JxJJ"},
		{"rubbish for a picture", "boundary=b", "--b\r\n\r\n\xff\xd8no picture\r\n--b\r\n\r\nJ\r\n", "xJ"},
	} {
		if c.name == "length too long" {
			c.body = strings.Replace(c.body, "#", itoa(len(jpg)+100), 1)
		}
		body := fill.Replace(size(c.body))
		if c.name == "cut short, with its length" {
			body = strings.Replace(body, "300", itoa(len(jpg)/2), 1)
		}
		for how, in := range map[string]*parts{
			"at once":      newParts(strings.NewReader(body), "multipart/x-mixed-replace; "+c.kind),
			"byte by byte": newParts(iotest.OneByteReader(strings.NewReader(body)), "multipart/x-mixed-replace; "+c.kind),
		} {
			got := ""
			for {
				data, codec, lost, err := in.next()
				if err != nil {
					break
				}
				if lost {
					got += "x"
				}
				switch {
				case codec == ingest.MJPEG && strings.HasPrefix(string(data), jpg):
					got += "J"
				case codec == ingest.PNG && string(data) == pic:
					got += "P"
				default:
					got += "?"
				}
			}
			if got != c.want {
				t.Errorf("%s, %s: %q, want %q", c.name, how, got, c.want)
			}
		}
	}
}

func itoa(n int) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func TestBoundaryOf(t *testing.T) {
	for kind, want := range map[string]string{
		"multipart/x-mixed-replace; boundary=frame": "frame", "multipart/x-mixed-replace;boundary=--my--x": "my--x",
		`multipart/x-mixed-replace; Boundary="a;b" ; c=d`: "a;b", "multipart/x-mixed-replace": "", "multipart/x-mixed-replace; boundary": "",
		"multipart/x-mixed-replace; boundary=" + strings.Repeat("x", 5000): strings.Repeat("x", maxBoundary),
	} {
		if got := boundaryOf(kind); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

// FuzzMultipart reads whatever comes: it ends, and gives out whole pictures only,
// the same ones however the bytes come in.
func FuzzMultipart(f *testing.F) {
	jpg, pic := stills(f)
	f.Add("boundary=b", "--b\r\nContent-Type: image/jpeg\r\nContent-Length: "+itoa(len(jpg))+"\r\n\r\n"+jpg+"\r\n--b--")
	f.Add(`boundary="--b"`, "--b\n\n"+pic+"\r\n--b\n\n"+jpg+"--b")
	f.Add("", jpg+jpg[:len(jpg)/3]+"\r\n--x\r\n\r\n"+jpg)
	f.Add("boundary=\"", "--\r\nContent-Length: 99999999999\r\n\r\n")
	f.Fuzz(func(t *testing.T, kind, body string) {
		all := newParts(strings.NewReader(body), kind)
		split := newParts(iotest.OneByteReader(strings.NewReader(body)), kind)
		for {
			data, codec, lost, err := all.next()
			again, _, lostToo, failed := split.next()
			if (err == nil) != (failed == nil) || lost != lostToo || !bytes.Equal(data, again) {
				t.Fatalf("at once %d bytes, lost %v, %v; byte by byte %d, lost %v, %v", len(data), lost, err, len(again), lostToo, failed)
			}
			if err != nil {
				return
			}
			if whole, err := ingest.InspectStill(data); err != nil || whole != codec || cap(data)-len(data) < ingest.PacketPadding {
				t.Fatalf("%s of %d bytes: %v", codec, len(data), err)
			}
		}
	})
}
