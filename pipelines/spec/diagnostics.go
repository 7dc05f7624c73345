package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Diagnostic is one mistake in a pipeline file. It never holds a secret.
type Diagnostic struct {
	File       string `json:"file"`
	Line       int    `json:"line"`   // from 1; 0 where the file as a whole is meant
	Column     int    `json:"column"` // from 1, in characters
	Path       string `json:"path,omitempty"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"` // the nearest known name
}

// String gives `file:line:col: key.path: what is wrong (did you mean …?)`.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	if d.Path != "" {
		b.WriteString(": " + d.Path)
	}
	b.WriteString(": " + d.Message)
	if d.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %s?)", d.Suggestion)
	}
	return b.String()
}

// Diagnostics is the error that loading gives: every mistake found, ordered by
// place.
type Diagnostics []Diagnostic

func (d Diagnostics) Error() string {
	lines := make([]string, len(d))
	for i := range d {
		lines[i] = d[i].String()
	}
	return strings.Join(lines, "\n")
}

// report collects diagnostics while files are read.
type report struct {
	files []string // in the order given, for sorting
	found []Diagnostic
}

func (r *report) add(at Origin, path, format string, args ...any) {
	r.suggest(at, path, "", format, args...)
}

func (r *report) suggest(at Origin, path, suggestion, format string, args ...any) {
	r.found = append(r.found, Diagnostic{at.File, at.Line, at.Column, path, fmt.Sprintf(format, args...), suggestion})
}

// err returns the sorted diagnostics, or nil. A value that is used in several
// places (through defaults or an anchor) is reported where it was met first.
func (r *report) err() error {
	type place struct {
		file         string
		line, column int
		message      string
	}
	seen := map[place]bool{}
	var out Diagnostics
	for _, d := range r.found {
		p := place{d.File, d.Line, d.Column, d.Message}
		if !seen[p] {
			seen[p] = true
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil
	}
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(slices.Index(r.files, a.File), slices.Index(r.files, b.File)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return out
}
