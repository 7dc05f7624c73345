package sink

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"sightline/detect"
)

// Content types of an encoded event: the whole CloudEvent, and its data alone.
const (
	StructuredType = "application/cloudevents+json"
	DataType       = "application/json"
)

// Header is one CloudEvents attribute as the protocol bindings carry it: the key
// is "ce_" and the attribute's name, the value its canonical string.
type Header struct {
	Key   string
	Value []byte
}

// AppendStructured appends the event to dst as one JSON object, without a line
// feed: CloudEvents attributes at the top in a fixed order, then data. The same
// record always gives the same bytes. On an error dst is returned as it was.
func AppendStructured(dst []byte, r Record) ([]byte, error) {
	if r.JSON != nil {
		return append(dst, r.JSON...), nil
	}
	start := len(dst)
	var scratch [64]byte
	dst = append(dst, '{')
	VisitAttributes(r, scratch[:0], func(key string, value []byte) {
		dst = append(dst, '"')
		dst = append(dst, key[len(keyPrefix):]...)
		dst = append(dst, '"', ':')
		if key == keySeverityNumber { // the one attribute that is a JSON number
			dst = append(dst, value...)
		} else {
			dst = appendJSONString(dst, value)
		}
		dst = append(dst, ',')
	})
	dst = append(dst, `"data":`...)
	dst, err := AppendData(dst, r)
	if err != nil {
		return dst[:start], err
	}
	return append(dst, '}'), nil
}

// AppendData appends the event's data to dst as one JSON object. On an error dst
// is returned as it was.
func AppendData(dst []byte, r Record) ([]byte, error) {
	// In a string the quotes would be escaped.
	if _, data, ok := bytes.Cut(r.JSON, []byte(`,"data":`)); ok && len(data) > 0 {
		return append(dst, data[:len(data)-1]...), nil
	}
	ev, err := r.Full()
	if err != nil {
		return dst, err
	}
	if dst, err = ev.Data.AppendJSON(dst); err != nil {
		return dst, fmt.Errorf("encode event %s of type %s: %w", r.Event.ID, r.Event.Type, err)
	}
	return dst, nil
}

// Attributes returns the event's attributes in the order of AppendStructured, for
// destinations that carry them beside the data. The caller owns them.
func Attributes(r Record) []Header {
	headers := make([]Header, 0, 14)
	arena := make([]byte, 0, 320)
	VisitAttributes(r, nil, func(key string, value []byte) {
		from := len(arena)
		arena = append(arena, value...)
		headers = append(headers, Header{Key: key, Value: arena[from:len(arena):len(arena)]})
	})
	return headers
}

const (
	keyPrefix         = "ce_"
	keySeverityNumber = keyPrefix + "severitynumber"
)

// VisitAttributes is Attributes without a copy: it calls visit for each attribute
// that applies, in order. The value is valid during the call only; buf is room to
// write it in, and may be nil.
func VisitAttributes(r Record, buf []byte, visit func(key string, value []byte)) {
	ev := r.Event
	text := func(key string, parts ...string) {
		buf = buf[:0]
		for _, p := range parts {
			buf = append(buf, p...)
		}
		if len(buf) > 0 {
			visit(key, buf)
		}
	}
	at := func(key string, t time.Time) {
		if !t.IsZero() {
			buf = detect.AppendTime(buf[:0], t)
			visit(key, buf)
		}
	}
	text("ce_specversion", "1.0")
	text("ce_id", ev.ID)
	text("ce_source", detect.Source(ev.Site, ev.Stream))
	text("ce_type", "sightline.", string(ev.Type))
	text("ce_subject", ev.Subject)
	at("ce_time", ev.Time)
	text("ce_datacontenttype", DataType)
	text("ce_dataschema", "urn:sightline:", string(ev.Type), ":1")
	text("ce_partitionkey", r.PartitionKey())
	if r.Sequence != 0 { // 0: for no destination
		buf = appendPadded(buf[:0], r.Sequence)
		visit("ce_sequence", buf)
	}
	if ev.Severity != 0 {
		text("ce_severitytext", severityText(ev.Severity))
		buf = strconv.AppendUint(buf[:0], uint64(ev.Severity), 10)
		visit(keySeverityNumber, buf)
	}
	at("ce_recordedtime", ev.Recorded)
	text("ce_dataref", ev.DataRef)
}

func severityText(s detect.Severity) string {
	switch {
	case s >= detect.Critical:
		return "ERROR"
	case s >= detect.Warning:
		return "WARN"
	}
	return "INFO"
}

// appendPadded writes n with 20 digits, so that sequences sort as text.
func appendPadded(dst []byte, n uint64) []byte {
	var digits [20]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[:]...)
}

// appendJSONString appends s as a JSON string. Bytes that are not UTF-8 become the
// replacement character, as encoding/json does it.
func appendJSONString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return append(dst, '"')
}
