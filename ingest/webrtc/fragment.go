package webrtc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxFragment bounds the body of a trickle request: some hundred candidates.
const maxFragment = 16 << 10

var errBadFragment = errors.New("the body is not an SDP fragment")

// fragment is what a trickle request brings (RFC 8840).
type fragment struct {
	ufrags     []string
	candidates []trickled
	end        bool // no more will come
}

// trickled is a candidate of the section mid; mid may be missing.
type trickled struct{ mid, candidate string }

// parseFragment reads an SDP fragment. Attributes it does not know are ignored,
// lines of other kinds are faults.
func parseFragment(text string) (fragment, error) {
	var f fragment
	if len(text) > maxFragment {
		return f, fmt.Errorf("%w: it is too long", errBadFragment)
	}
	mid, media := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		kind, rest, ok := strings.Cut(line, "=")
		switch {
		case line == "":
			continue
		case !ok || kind != "a" && kind != "m":
			return f, fmt.Errorf("%w: %.20q is no line of one", errBadFragment, line)
		case kind == "m":
			if len(strings.Fields(rest)) < 4 {
				return f, fmt.Errorf("%w: its media line is short", errBadFragment)
			}
			mid, media = "", true
			continue
		}
		name, value, _ := strings.Cut(rest, ":")
		switch name {
		case "ice-ufrag":
			f.ufrags = append(f.ufrags, value)
		case "mid":
			if media {
				mid = value
			}
		case "candidate":
			if err := checkCandidate(value); err != nil {
				return f, err
			}
			if ufrag := extension(value, "ufrag"); ufrag != "" {
				f.ufrags = append(f.ufrags, ufrag)
			}
			f.candidates = append(f.candidates, trickled{mid, "candidate:" + value})
		case "end-of-candidates":
			f.end = true
		}
	}
	return f, nil
}

// checkCandidate checks the fixed fields of a candidate (RFC 8839, 5.1).
func checkCandidate(value string) error {
	fields := strings.Fields(value)
	if len(fields) < 8 || fields[6] != "typ" {
		return fmt.Errorf("%w: a candidate of it lacks fields", errBadFragment)
	}
	for _, number := range []struct {
		text string
		bits int
	}{{fields[1], 9}, {fields[3], 32}, {fields[5], 16}} { // component, priority, port
		if _, err := strconv.ParseUint(number.text, 10, number.bits); err != nil {
			return fmt.Errorf("%w: a candidate of it has %.20q for a number", errBadFragment, number.text)
		}
	}
	return nil
}

// extension is the value of a candidate's extension attribute, "" without it.
func extension(candidate, name string) string {
	fields := strings.Fields(candidate)
	for i := 8; i+1 < len(fields); i += 2 {
		if fields[i] == name {
			return fields[i+1]
		}
	}
	return ""
}

// restarts says whether the fragment speaks of another ICE session than the one
// with these user names.
func (f fragment) restarts(known map[string]bool) bool {
	for _, u := range f.ufrags {
		if !known[u] {
			return true
		}
	}
	return false
}
