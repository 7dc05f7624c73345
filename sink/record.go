package sink

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sightline/detect"
)

// recordVersion begins every encoded record.
const recordVersion = 1

// errRecord is all there is to say of bytes that are no record.
var errRecord = errors.New("not a record of this version")

// AppendRecord appends r to dst in the form in which records wait on disk: a
// version, the texts with their lengths, times in microseconds, and the structured
// event. On an error dst is returned as it was.
func AppendRecord(dst []byte, r Record) ([]byte, error) {
	start, ev := len(dst), r.Event
	dst = append(dst, recordVersion, byte(ev.Severity))
	for _, text := range []string{r.Topic, r.Key, ev.Site, ev.Stream, string(ev.Type), ev.ID, ev.Subject, ev.DataRef} {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	dst = appendTime(appendTime(dst, ev.Time), ev.Recorded)
	dst = binary.AppendUvarint(dst, r.Sequence)
	dst, err := AppendStructured(dst, r)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// ParseRecord reads what AppendRecord wrote. The record's JSON is part of b, and
// its event lacks the Data: see Record.Full.
func ParseRecord(b []byte) (Record, error) {
	if len(b) < 2 || b[0] != recordVersion {
		return Record{}, errRecord
	}
	ev := &detect.Event{Severity: detect.Severity(b[1])}
	r := Record{Event: ev, bare: true}
	rest := b[2:]
	var typ string
	for _, to := range []*string{&r.Topic, &r.Key, &ev.Site, &ev.Stream, &typ, &ev.ID, &ev.Subject, &ev.DataRef} {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return Record{}, errRecord
		}
		*to = string(rest[n : n+int(size)])
		rest = rest[n+int(size):]
	}
	ev.Type = detect.Type(typ)
	for _, to := range []*time.Time{&ev.Time, &ev.Recorded} {
		v, n := binary.Varint(rest)
		if n <= 0 {
			return Record{}, errRecord
		}
		if v != 0 {
			*to = time.UnixMicro(v).UTC()
		}
		rest = rest[n:]
	}
	sequence, n := binary.Uvarint(rest)
	if n <= 0 || n == len(rest) {
		return Record{}, errRecord
	}
	r.Sequence, r.JSON = sequence, rest[n:]
	return r, nil
}

// appendTime writes the zero time, and 1970, as 0.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixMicro())
}

// Full is the record's event with its Data, decoded from JSON where the record was
// read back from bytes. It is read-only.
func (r Record) Full() (*detect.Event, error) {
	if !r.bare {
		return r.Event, nil
	}
	full := *r.Event
	whole := struct{ Data *detect.Data }{&full.Data}
	if err := json.Unmarshal(r.JSON, &whole); err != nil {
		return nil, fmt.Errorf("decode event %s of type %s: %w", full.ID, full.Type, err)
	}
	return &full, nil
}
