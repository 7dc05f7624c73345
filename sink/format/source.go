package format

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"sightline/sink"
)

// source reads the events to be written in a schema: from their JSON, which is the
// truth, and all there is of a record read back from disk.
type source struct {
	scanner scanner
	text    []byte // of a record that was not encoded before
}

// event is the record's JSON, less what schemas leave out. It is valid until the
// next call.
func (s *source) event(r sink.Record) (*value, error) {
	text := r.JSON
	if text == nil {
		var err error
		if s.text, err = sink.AppendStructured(s.text[:0], r); err != nil {
			return nil, err
		}
		text = s.text
	}
	v, err := s.scanner.object(text)
	if err != nil {
		return nil, fmt.Errorf("decode event %s of type %s: %w", r.Event.ID, r.Event.Type, err)
	}
	if i := v.member(skipped, 0); i >= 0 {
		v.items = slices.Delete(v.items, i, i+1)
	}
	return v, nil
}

// member is where the member of that name is, looked for from that place on and then
// from the first; -1 where it is not.
func (v *value) member(name string, from int) int {
	for i := from; i < len(v.items); i++ {
		if string(v.items[i].name) == name {
			return i
		}
	}
	for i := 0; i < min(from, len(v.items)); i++ {
		if string(v.items[i].name) == name {
			return i
		}
	}
	return -1
}

func float(v *value) (float64, error) {
	if v.kind != '0' {
		return 0, fmt.Errorf("%v is no number", v)
	}
	return strconv.ParseFloat(string(v.text), 64)
}

// integer is a whole number, or a time in microseconds since 1970.
func integer(k kind, v *value) (int64, error) {
	switch {
	case k == stamp && v.kind == '"':
		t, err := time.Parse(time.RFC3339Nano, string(v.text))
		return t.UnixMicro(), err
	case k == whole && v.kind == '0', k == padded && v.kind == '"':
		return strconv.ParseInt(string(v.text), 10, 64)
	}
	return 0, fmt.Errorf("%v is no number or time as it should be", v)
}
