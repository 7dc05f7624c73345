package format

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// value is one value of an event's JSON.
type value struct {
	name  []byte // of a member of an object
	kind  byte   // '{', '[', '"', '0' for a number, or what null, true and false begin with
	text  []byte // what a string says, without escapes; a number as it is written
	items []value
}

func (v *value) String() string {
	if v.kind == '{' || v.kind == '[' {
		return fmt.Sprintf("%c…", v.kind)
	}
	return string(v.text)
}

// scanner reads the JSON of events, several times as fast as a general decoder: it
// keeps what it read as parts of the text, and its memory for the next event. It
// takes all of JSON and a little more (numbers are looked at by those who use them).
type scanner struct {
	text  []byte
	at    int
	kept  []value // items of finished lists and objects
	stack []value // items of unfinished ones
}

const maxDepth = 64 // events have 7

var errJSON = errors.New("not JSON as events have it")

// object reads one object. It is valid until the next call, and while text is.
func (p *scanner) object(text []byte) (*value, error) {
	*p = scanner{text: text, kept: p.kept[:0], stack: p.stack[:0]}
	v, ok := p.value(0)
	ok = ok && v.kind == '{'
	if p.next(); !ok || p.at < len(text) {
		return nil, fmt.Errorf("%w, at byte %d", errJSON, p.at)
	}
	return &v, nil
}

// next skips space and returns the byte there, 0 at the end.
func (p *scanner) next() byte {
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (p *scanner) value(depth int) (v value, ok bool) {
	switch v.kind = p.next(); v.kind {
	case '{', '[':
		if depth < maxDepth {
			v.items, ok = p.list(v.kind, depth)
		}
	case '"':
		v.text, ok = p.quoted()
	case 'n':
		v.text, ok = p.word("null")
	case 't':
		v.text, ok = p.word("true")
	case 'f':
		v.text, ok = p.word("false")
	default:
		v.kind = '0'
		v.text, ok = p.number()
	}
	return v, ok
}

func (p *scanner) word(word string) ([]byte, bool) {
	if !bytes.HasPrefix(p.text[p.at:], []byte(word)) {
		return nil, false
	}
	p.at += len(word)
	return p.text[p.at-len(word) : p.at], true
}

// number reads what may be one.
func (p *scanner) number() ([]byte, bool) {
	from := p.at
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			break
		}
	}
	return p.text[from:p.at], p.at > from
}

// list reads the items of an array, or of an object with their names.
func (p *scanner) list(kind byte, depth int) (items []value, ok bool) {
	end, from := kind+2, len(p.stack) // '}' and ']'
	p.at++
	if p.next() == end {
		p.at++
		return nil, true
	}
	for {
		var name []byte
		if kind == '{' {
			if name, ok = p.name(); !ok {
				return nil, false
			}
		}
		item, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		item.name = name
		p.stack = append(p.stack, item)
		c := p.next()
		p.at++
		switch c {
		case ',':
			continue
		case end:
			start := len(p.kept)
			p.kept = append(p.kept, p.stack[from:]...)
			p.stack = p.stack[:from]
			return p.kept[start:len(p.kept):len(p.kept)], true
		}
		return nil, false
	}
}

// name reads the name of a member, and the colon.
func (p *scanner) name() (text []byte, ok bool) {
	if p.next() != '"' {
		return nil, false
	}
	if text, ok = p.quoted(); !ok || p.next() != ':' {
		return nil, false
	}
	p.at++
	return text, true
}

// quoted reads a string.
func (p *scanner) quoted() (text []byte, ok bool) {
	p.at++
	from := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[from : p.at-1], true
		case c == '\\':
			return p.escaped(bytes.Clone(p.text[from:p.at]))
		case c < ' ':
			return nil, false
		}
		p.at++
	}
	return nil, false
}

// escaped reads on in a string that has escapes.
func (p *scanner) escaped(out []byte) ([]byte, bool) {
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return out, true
		case c < ' ':
			return nil, false
		case c != '\\':
			out = append(out, c)
			continue
		}
		if p.at == len(p.text) {
			return nil, false
		}
		c = p.text[p.at]
		p.at++
		if c == 'u' {
			r, ok := p.unicode()
			if !ok {
				return nil, false
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		i := bytes.IndexByte([]byte(`"\/bfnrt`), c)
		if i < 0 {
			return nil, false
		}
		out = append(out, "\"\\/\b\f\n\r\t"[i])
	}
	return nil, false
}

// unicode reads what follows \u, a pair of surrogates whole.
func (p *scanner) unicode() (rune, bool) {
	r, ok := p.hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if before := p.at; bytes.HasPrefix(p.text[p.at:], []byte(`\u`)) {
		p.at += 2
		if low, ok := p.hex(); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, true
			}
		}
		p.at = before
	}
	return utf8.RuneError, true
}

func (p *scanner) hex() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.text[p.at:p.at+4]), 16, 16)
	p.at += 4
	return rune(n), err == nil
}
