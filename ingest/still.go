package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Codecs of still pictures besides MJPEG, as FFmpeg's decoders name them.
const (
	PNG  Codec = "png"
	WebP Codec = "webp"
	BMP  Codec = "bmp"
	TIFF Codec = "tiff"
)

// MaxStill is the most bytes one still picture may have.
const MaxStill = 32 << 20

// Why bytes are no whole picture.
var (
	ErrNoStill  = errors.New("not a JPEG, PNG, WebP, BMP or TIFF picture")
	ErrCutShort = errors.New("the picture is cut short")
)

// InspectStill tells which codec decodes the still picture in data, by what it
// begins with, and whether it is all there as far as its outer structure tells.
// The codec is known with ErrCutShort too.
func InspectStill(data []byte) (Codec, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}):
		var s JPEGScanner
		_, done, err := s.Scan(data)
		return MJPEG, whole(done, err)
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return PNG, whole(pngEnds(data[8:]), nil)
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return WebP, whole(int(binary.LittleEndian.Uint32(data[4:])) <= len(data)-8, nil)
	case len(data) >= 26 && string(data[:2]) == "BM":
		return BMP, whole(binary.LittleEndian.Uint32(data[10:]) < uint32(len(data)), nil)
	case bytes.HasPrefix(data, []byte("II*\x00")), bytes.HasPrefix(data, []byte("MM\x00*")):
		return TIFF, nil
	}
	return "", ErrNoStill
}

func whole(done bool, err error) error {
	if err == nil && !done {
		return ErrCutShort
	}
	return err
}

// pngEnds follows a PNG's chunks (ISO/IEC 15948, 5.3) to the last.
func pngEnds(b []byte) bool {
	for len(b) >= 12 {
		if string(b[4:8]) == "IEND" {
			return true
		}
		size := int64(binary.BigEndian.Uint32(b)) + 12
		if size > int64(len(b)) {
			return false
		}
		b = b[size:]
	}
	return false
}

// JPEGScanner finds where a JPEG ends (ITU-T T.81, annex B) while its bytes come
// in. The zero value is ready for a picture's first byte. It allocates nothing.
type JPEGScanner struct {
	state jpegState
	left  int // of the segment
	code  byte
	seen  int64
}

type jpegState uint8

const (
	jpegMarker  jpegState = iota // 0xff is due
	jpegCode                     // behind 0xff outside of coded data
	jpegHigh                     // a segment's size
	jpegLow                      //
	jpegSegment                  // inside a segment
	jpegCoded                    // entropy-coded data
	jpegEscape                   // behind 0xff in it
)

// Scan takes the picture's next bytes and returns how many of them belong to it,
// and whether its end is among them. An error says that this is no JPEG, or that
// another begins inside it; the scanner is of no use then.
func (s *JPEGScanner) Scan(chunk []byte) (n int, done bool, err error) {
	for n < len(chunk) {
		switch s.state {
		case jpegSegment:
			step := min(s.left, len(chunk)-n)
			n += step
			if s.left -= step; s.left == 0 {
				s.state = jpegMarker
				if s.code == 0xda {
					s.state = jpegCoded
				}
			}
			continue
		case jpegCoded:
			i := bytes.IndexByte(chunk[n:], 0xff)
			if i < 0 {
				return len(chunk), false, nil
			}
			n += i + 1
			s.state = jpegEscape
			continue
		}
		b := chunk[n]
		n++
		if done, err := s.header(b); done || err != nil {
			return n, done, err
		}
	}
	return n, false, nil
}

// header takes a byte that is neither inside a segment nor coded data.
func (s *JPEGScanner) header(b byte) (done bool, err error) {
	s.seen++
	switch s.state {
	case jpegMarker:
		if b != 0xff {
			return false, fmt.Errorf("not a JPEG: %#02x where a marker is due", b)
		}
		s.state = jpegCode
	case jpegCode:
		return s.marker(b)
	case jpegEscape:
		if b == 0 || b >= 0xd0 && b <= 0xd7 { // a stuffed byte, a restart marker
			s.state = jpegCoded
			return false, nil
		}
		return s.marker(b)
	case jpegHigh:
		s.left, s.state = int(b)<<8, jpegLow
	case jpegLow:
		if s.left += int(b) - 2; s.left < 0 {
			return false, errors.New("not a JPEG: a segment without room for its size")
		}
		s.state = jpegSegment
		if s.left == 0 {
			s.state = jpegMarker
		}
	}
	return false, nil
}

// marker takes the byte behind 0xff.
func (s *JPEGScanner) marker(b byte) (done bool, err error) {
	first := s.seen == 2
	switch {
	case first != (b == 0xd8):
		if first {
			return false, errors.New("not a JPEG")
		}
		return false, fmt.Errorf("%w: another begins inside it", ErrCutShort)
	case first, b == 0x01:
		s.state = jpegMarker
	case b == 0xff: // fill
	case b == 0xd9:
		return true, nil
	case b < 0xc0, b >= 0xd0 && b <= 0xd7:
		return false, fmt.Errorf("not a JPEG: marker %#02x", b)
	default:
		s.code, s.state = b, jpegHigh
	}
	return false, nil
}
