package http

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sightline/ingest"
)

const (
	// maxLine bounds a line of text between pictures, maxText all of it in front of
	// one picture: the rest of a picture longer than announced passes for text.
	maxLine = 8 << 10
	maxText = ingest.MaxStill
	// maxBoundary bounds what is searched for.
	maxBoundary = 200
	// maxDamaged is how many pictures in a row may be unreadable.
	maxDamaged = 100
)

var (
	errLarge     = fmt.Errorf("a picture of more than %d MiB", ingest.MaxStill>>20)
	errNoPicture = errors.New("text without end where a picture is due")
	errUnusable  = fmt.Errorf("%d parts in a row without a whole picture", maxDamaged)
)

// parts takes pictures out of multipart/x-mixed-replace (RFC 2046, 5.1) as
// cameras really send it. Between pictures any line that begins with two dashes,
// or is the announced boundary, begins a part. A part's Content-Length says where
// its picture ends; without one a JPEG does so itself, and anything else ends at
// the next boundary.
type parts struct {
	in       *bufio.Reader
	boundary string // without the dashes in front
	damaged  bool   // a part that was read since the last picture was unusable
}

// newParts reads the body of a response of that media type.
func newParts(body io.Reader, mediaType string) *parts {
	return &parts{in: bufio.NewReaderSize(body, maxLine), boundary: boundaryOf(mediaType)}
}

// boundaryOf takes the boundary out of a Content-Type, quoted or not.
func boundaryOf(mediaType string) string {
	const word = "boundary"
	i := 0 // in mediaType itself: letters of other scripts change their length with their case
	for ; i+len(word) <= len(mediaType) && !strings.EqualFold(mediaType[i:i+len(word)], word); i++ {
	}
	if i+len(word) > len(mediaType) {
		return ""
	}
	value := strings.TrimLeft(mediaType[i+len(word):], " =")
	if quoted, ok := strings.CutPrefix(value, `"`); ok {
		value, _, _ = strings.Cut(quoted, `"`)
	} else {
		value, _, _ = strings.Cut(value, ";")
	}
	return strings.Trim(value[:min(len(value), maxBoundary)], "- \t")
}

// next returns the next picture, with room for padding behind it, and whether
// something in front of it was lost. The caller owns the data.
func (p *parts) next() (data []byte, codec ingest.Codec, lost bool, err error) {
	for range maxDamaged {
		length, picture, err := p.header()
		if err != nil {
			return nil, "", false, err
		}
		switch {
		case length > 0:
			data, err = p.counted(length)
		case p.begins(0xff, 0xd8):
			data, err = p.jpeg()
		default:
			data, err = p.upToBoundary()
		}
		if err != nil {
			return nil, "", false, err
		}
		if !picture || len(data) == 0 {
			continue // sound, text, a sign of life
		}
		codec, err := ingest.InspectStill(data)
		if err == nil {
			lost, p.damaged = p.damaged, false
			return data, codec, lost, nil
		}
		p.damaged = true
	}
	return nil, "", false, errUnusable
}

// header reads up to the first byte of the next part's body. length is 0 where
// the part does not say.
func (p *parts) header() (length int, picture bool, err error) {
	inside := false
	for read := 0; read < maxText; {
		if p.begins(0xff, 0xd8) { // at once, without the empty line
			return length, true, nil
		}
		line, err := p.line()
		if err != nil {
			return 0, false, err
		}
		read += len(line)
		text := string(bytes.TrimSpace(line))
		key, value, isField := strings.Cut(text, ":")
		switch {
		case p.isBoundary(line):
			inside, picture, length = true, true, 0
		case !inside:
		case text == "":
			return length, picture, nil
		case isField && strings.EqualFold(strings.TrimSpace(key), "content-length"):
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 {
				length = 0
			}
			if length > ingest.MaxStill {
				return 0, false, errLarge
			}
		case isField && strings.EqualFold(strings.TrimSpace(key), "content-type"):
			kind := strings.ToLower(strings.TrimSpace(value))
			picture = !strings.HasPrefix(kind, "audio/") && !strings.HasPrefix(kind, "text/") && !strings.HasPrefix(kind, "application/json")
		}
	}
	return 0, false, errNoPicture
}

// begins looks ahead. At the end of the body it says no.
func (p *parts) begins(prefix ...byte) bool {
	ahead, _ := p.in.Peek(len(prefix))
	return bytes.Equal(ahead, prefix)
}

// line reads a line of text, or as much of it as fits.
func (p *parts) line() ([]byte, error) {
	line, err := p.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return line, nil
	}
	if err == io.EOF && len(line) > 0 {
		return line, nil
	}
	return line, err
}

// isBoundary is for lines where text is expected.
func (p *parts) isBoundary(line []byte) bool {
	return bytes.HasPrefix(line, []byte("--")) || p.boundary != "" && string(bytes.Trim(line, "- \t\r\n")) == p.boundary
}

// counted reads a body whose length is known.
func (p *parts) counted(length int) ([]byte, error) {
	data := make([]byte, length, length+ingest.PacketPadding)
	_, err := io.ReadFull(p.in, data)
	return data, err
}

// jpeg reads up to the end of a JPEG. One that turns out to be none is given up,
// up to the next boundary.
func (p *parts) jpeg() ([]byte, error) {
	var scanner ingest.JPEGScanner
	var data []byte
	for {
		if _, err := p.in.Peek(1); err != nil {
			return nil, err
		}
		ahead, _ := p.in.Peek(p.in.Buffered())
		n, done, err := scanner.Scan(ahead)
		data = append(data, ahead[:n]...)
		p.in.Discard(n)
		switch {
		case err != nil:
			_, err = p.upToBoundary()
			return data, err
		case done:
			return padded(data), nil
		case len(data) > ingest.MaxStill:
			return nil, errLarge
		}
	}
}

// upToBoundary reads a body that only the next boundary ends, and puts that back
// by remembering it. What comes in its middle may look like a line.
func (p *parts) upToBoundary() ([]byte, error) {
	var data []byte
	begins := true // of a line
	for {
		if begins && p.atBoundary() {
			data = bytes.TrimSuffix(data, []byte("\n"))
			return padded(bytes.TrimSuffix(data, []byte("\r"))), nil
		}
		line, err := p.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		begins = err == nil
		if data = append(data, line...); len(data) > ingest.MaxStill {
			return nil, errLarge
		}
	}
}

// atBoundary looks ahead for the announced boundary, or any where none was.
func (p *parts) atBoundary() bool {
	ahead, _ := p.in.Peek(len(p.boundary) + 4)
	text := bytes.TrimLeft(ahead, "-")
	if p.boundary == "" {
		return len(ahead)-len(text) >= 2
	}
	return bytes.HasPrefix(text, []byte(p.boundary))
}

func padded(data []byte) []byte {
	if cap(data)-len(data) >= ingest.PacketPadding {
		return data
	}
	return append(make([]byte, 0, len(data)+ingest.PacketPadding), data...)
}
