package rtmp

import (
	"encoding/binary"
	"errors"
	"math"
)

// Action Message Format 0, as far as commands need it (Adobe's AMF 0
// specification, section 2). Values are float64, bool, string, nil, object and
// []any; a date is its number.

// object is written in the order of its fields; arrays with names are read as one.
type object []field

type field struct {
	name  string
	value any
}

// text is the string under a name, "" where there is none.
func (o object) text(name string) string {
	for _, f := range o {
		if s, ok := f.value.(string); ok && f.name == name {
			return s
		}
	}
	return ""
}

const (
	markNumber, markBool, markString, markObject = 0, 1, 2, 3
	markNull, markUndefined, markNamed, markEnd  = 5, 6, 8, 9
	markArray, markDate, markLongString          = 10, 11, 12
	maxDepth                                     = 8
	maxValues                                    = 1024
)

var errAMF = errors.New("damaged command")

// appendAMF appends values.
func appendAMF(b []byte, values ...any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, markNull)
		case bool:
			b = append(b, markBool, 0)
			if v {
				b[len(b)-1] = 1
			}
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, markNumber), math.Float64bits(v))
		case string:
			b = appendName(append(b, markString), v)
		case []any:
			b = binary.BigEndian.AppendUint32(append(b, markArray), uint32(len(v)))
			b = appendAMF(b, v...)
		case object:
			b = append(b, markObject)
			for _, f := range v {
				b = appendAMF(appendName(b, f.name), f.value)
			}
			b = append(b, 0, 0, markEnd)
		}
	}
	return b
}

// appendName appends a string of less than 64 KiB, as all of ours are.
func appendName(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// parseAMF reads all values of a message.
func parseAMF(b []byte) ([]any, error) {
	p := amfParser{rest: b}
	var values []any
	for len(p.rest) > 0 {
		v, err := p.value(0)
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}

type amfParser struct {
	rest  []byte
	count int
}

func (p *amfParser) take(n int) ([]byte, error) {
	if n > len(p.rest) {
		return nil, errAMF
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b, nil
}

func (p *amfParser) number(n int) (int, error) {
	b, err := p.take(n)
	v := 0
	for _, c := range b {
		v = v<<8 | int(c)
	}
	return v, err
}

func (p *amfParser) text(size int) (string, error) {
	n, err := p.number(size)
	if err != nil {
		return "", err
	}
	b, err := p.take(n)
	return string(b), err
}

func (p *amfParser) value(depth int) (any, error) {
	if p.count++; depth > maxDepth || p.count > maxValues {
		return nil, errAMF
	}
	mark, err := p.number(1)
	if err != nil {
		return nil, err
	}
	switch mark {
	case markNumber:
		b, err := p.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case markBool:
		n, err := p.number(1)
		return n != 0, err
	case markString:
		return p.text(2)
	case markLongString:
		return p.text(4)
	case markNull, markUndefined:
		return nil, nil
	case markDate:
		b, err := p.take(10) // and a time zone that is not used
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case markObject:
		return p.object(depth)
	case markNamed:
		if _, err := p.take(4); err != nil { // a count that need not be right
			return nil, err
		}
		return p.object(depth)
	case markArray:
		n, err := p.number(4)
		if err != nil || n > maxValues {
			return nil, errAMF
		}
		list := []any{}
		for range n {
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return nil, errAMF
}

func (p *amfParser) object(depth int) (object, error) {
	o := object{}
	for {
		name, err := p.text(2)
		if err != nil {
			return nil, err
		}
		if name == "" && len(p.rest) > 0 && p.rest[0] == markEnd {
			p.rest = p.rest[1:]
			return o, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, field{name, v})
	}
}
