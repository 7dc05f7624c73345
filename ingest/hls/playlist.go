package hls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
)

// playlist is what a media playlist or a multivariant playlist says.
type playlist struct {
	variants []variant // of a multivariant playlist, which has nothing else
	target   time.Duration
	segments []segment // without those before the first that is listed
	ended    bool      // nothing will be added
}

// variant is one form of a stream that comes in several.
type variant struct {
	uri       string
	pixels    int64 // 0 unknown
	bandwidth int64
	video     bool // or not told
}

// segment is one file of media.
type segment struct {
	part
	number        int64 // media sequence number
	duration      time.Duration
	discontinuity bool // has nothing to do with the segment before it
	missing       bool // the server says that it has not got it
	captured      time.Time
	header        part // in front of the segment's bytes, none where its URI is empty
	key           key
}

// part is a file or a range of one.
type part struct {
	uri            string
	offset, length int64 // length 0: all of it
}

// key is how a segment is encrypted: not where method is empty.
type key struct {
	method, uri string
	iv          []byte // nil: the segment's number
}

const (
	maxSegments = 1 << 16
	maxOffset   = 1 << 60
	maxDuration = time.Hour // of a segment
)

var (
	errNoPlaylist = errors.New("not an HLS playlist")
	errEmpty      = errors.New("the playlist lists nothing")
)

// parser holds what lines say of later ones (RFC 8216, 4.3).
type parser struct {
	list     playlist
	next     segment // of the next URI
	variant  *variant
	ranges   map[string]int64 // where the last range of each file ended
	hasRange bool
	sequence int64
}

// parse reads a playlist. What it does not know it passes over, as section 6.3.1 asks.
func parse(text []byte) (playlist, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !bytes.HasPrefix(text, []byte("#EXTM3U")) {
		return playlist{}, errNoPlaylist
	}
	p := parser{ranges: map[string]int64{}}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "#EXT"):
			tag, value, _ := strings.Cut(line[1:], ":")
			if err := p.tag(tag, value); err != nil {
				return playlist{}, fmt.Errorf("playlist: %s: %w", tag, err)
			}
		case line[0] != '#':
			if err := p.uri(line); err != nil {
				return playlist{}, fmt.Errorf("playlist: %w", err)
			}
		}
		if len(p.list.segments) > maxSegments || len(p.list.variants) > maxSegments {
			return playlist{}, errors.New("playlist: too long")
		}
	}
	if len(p.list.segments)+len(p.list.variants) == 0 && p.list.target == 0 {
		return playlist{}, errEmpty
	}
	return p.list, nil
}

// uri takes the line that a segment or a variant ends with.
func (p *parser) uri(uri string) error {
	if p.variant != nil {
		p.variant.uri = uri
		p.list.variants = append(p.list.variants, *p.variant)
		p.variant = nil
		return nil
	}
	s := p.next
	s.uri, s.number = uri, p.sequence
	if p.hasRange && s.offset < 0 {
		s.offset = p.ranges[uri]
	}
	if p.ranges[uri] = s.offset + s.length; p.ranges[uri] > maxOffset {
		return errors.New("a range too far")
	}
	p.list.segments = append(p.list.segments, s)
	p.sequence++
	p.hasRange = false
	p.next = segment{header: s.header, key: s.key}
	if !s.captured.IsZero() {
		p.next.captured = s.captured.Add(s.duration)
	}
	return nil
}

func (p *parser) tag(tag, value string) (err error) {
	switch tag {
	case "EXT-X-TARGETDURATION":
		p.list.target, err = seconds(value)
	case "EXT-X-MEDIA-SEQUENCE":
		p.sequence, err = number(value)
	case "EXT-X-ENDLIST":
		p.list.ended = true
	case "EXTINF":
		length, _, _ := strings.Cut(value, ",")
		p.next.duration, err = seconds(length)
	case "EXT-X-BYTERANGE":
		p.hasRange = true
		p.next.offset, p.next.length, err = byteRange(value)
	case "EXT-X-DISCONTINUITY":
		p.next.discontinuity = true
		p.next.captured = time.Time{}
	case "EXT-X-GAP":
		p.next.missing = true
	case "EXT-X-PROGRAM-DATE-TIME":
		p.next.captured = date(value)
	case "EXT-X-MAP":
		p.next.header, err = header(value)
	case "EXT-X-KEY":
		p.next.key, err = encryption(value)
	case "EXT-X-STREAM-INF":
		p.variant = inf(value)
	}
	return err
}

func header(value string) (part, error) {
	var h part
	for name, text := range attributes(value) {
		switch name {
		case "URI":
			h.uri = text
		case "BYTERANGE":
			var err error
			if h.offset, h.length, err = byteRange(text); err != nil {
				return part{}, err
			}
			h.offset = max(h.offset, 0)
		}
	}
	return h, nil
}

func encryption(value string) (key, error) {
	var k key
	format := "identity"
	for name, text := range attributes(value) {
		switch name {
		case "METHOD":
			k.method = text
		case "URI":
			k.uri = text
		case "KEYFORMAT":
			format = text
		case "IV":
			iv, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(text), "0x"))
			if err != nil || len(iv) != 16 {
				return key{}, errors.New("the IV is not 128 bits in hexadecimal")
			}
			k.iv = iv
		}
	}
	switch {
	case k.method == "NONE":
		return key{}, nil
	case format != "identity":
		k.method += " with " + format
	}
	return k, nil
}

// inf reads what a multivariant playlist says of one variant.
func inf(value string) *variant {
	v := &variant{video: true}
	for name, text := range attributes(value) {
		switch name {
		case "BANDWIDTH":
			v.bandwidth, _ = number(text)
		case "RESOLUTION":
			w, h, _ := strings.Cut(text, "x")
			width, _ := strconv.ParseInt(w, 10, 32)
			height, _ := strconv.ParseInt(h, 10, 32)
			v.pixels = max(width, 0) * max(height, 0)
		case "CODECS":
			v.video = hasVideo(text)
		}
	}
	return v
}

// hasVideo tells whether one of a list of codecs (RFC 6381) is not known to be of sound.
func hasVideo(codecs string) bool {
	for codec := range strings.SplitSeq(codecs, ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(codec), ".")
		switch strings.ToLower(kind) {
		case "mp4a", "ac-3", "ec-3", "opus", "flac", "alac", "mp3", "":
		default:
			return true
		}
	}
	return false
}

// attributes yields the names and values of an attribute list, without quotes.
func attributes(list string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for list != "" {
			name, rest, ok := strings.Cut(list, "=")
			if !ok {
				return
			}
			var value string
			if strings.HasPrefix(rest, `"`) {
				value, rest, _ = strings.Cut(rest[1:], `"`)
				_, list, _ = strings.Cut(rest, ",")
			} else {
				value, list, _ = strings.Cut(rest, ",")
			}
			if !yield(strings.TrimSpace(name), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

// byteRange reads LENGTH[@OFFSET]; the offset is -1 where it follows the range before.
func byteRange(text string) (offset, length int64, err error) {
	size, at, ok := strings.Cut(text, "@")
	if length, err = number(size); err != nil || length == 0 {
		return 0, 0, errors.New("not a range of bytes")
	}
	if !ok {
		return -1, length, nil
	}
	if offset, err = number(at); err != nil || offset > math.MaxInt64-length {
		return 0, 0, errors.New("not a range of bytes")
	}
	return offset, length, nil
}

func number(text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > 1<<53 {
		return 0, errors.New("not a number")
	}
	return n, nil
}

func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(s >= 0 && s <= maxDuration.Seconds()) {
		return 0, errors.New("not a number of seconds")
	}
	return time.Duration(s * float64(time.Second)), nil
}

// date reads ISO 8601 as encoders write it: with or without a colon in the zone.
// A date that cannot be read is none: arrivals do.
func date(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}
