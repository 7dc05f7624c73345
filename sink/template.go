package sink

import (
	"fmt"
	"slices"
	"strings"

	"sightline/detect"
)

// Unknown stands in an expanded template for what an event does not have, as a
// crossing has no zone.
const Unknown = "none"

// Placeholders are the names a template may have in braces, in the order in which
// messages list them.
func Placeholders() []string {
	return []string{"site", "stream", "type", "zone", "line", "rule", "class", "track", "severity"}
}

// Template is a text with placeholders such as {site}, to make topics, keys and
// paths of. The zero value expands to "". It is read-only and may be shared.
type Template struct{ pieces []piece }

// piece is literal text, or the name of a placeholder.
type piece struct{ text, name string }

// ParseTemplate reads text. Allowed are the placeholders it may have; without them
// all may be there. An error names the placeholder at fault and the nearest one.
func ParseTemplate(text string, allowed ...string) (Template, error) {
	if len(allowed) == 0 {
		allowed = Placeholders()
	}
	var t Template
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			t.pieces = append(t.pieces, piece{text: rest[:i]})
			rest = rest[i:]
			continue
		}
		end := strings.IndexByte(rest, '}')
		if end <= 0 || strings.Contains(rest[1:end], "{") {
			return Template{}, fmt.Errorf("%q has a brace without its counterpart; placeholders are written {%s}", text, allowed[0])
		}
		name := rest[1:end]
		if !slices.Contains(allowed, name) {
			return Template{}, unknown(name, allowed)
		}
		t.pieces = append(t.pieces, piece{name: name})
		rest = rest[end+1:]
	}
	return t, nil
}

// Has tells whether the template has the placeholder.
func (t Template) Has(name string) bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool { return p.name == name })
}

// Literal returns the template's text; ok is false where it has placeholders.
func (t Template) Literal() (text string, ok bool) {
	var out strings.Builder
	for _, p := range t.pieces {
		if p.name != "" {
			return "", false
		}
		out.WriteString(p.text)
	}
	return out.String(), true
}

// Expand puts the event's values in place of the placeholders, Unknown where it has
// none. Clean, unless nil, makes each value fit for the place; it is not asked about
// the text between them.
func (t Template) Expand(ev *detect.Event, clean func(string) string) string {
	var out strings.Builder
	for _, p := range t.pieces {
		if p.name == "" {
			out.WriteString(p.text)
			continue
		}
		value := placeholder(ev, p.name)
		if value == "" {
			value = Unknown
		}
		if clean != nil {
			value = clean(value)
		}
		out.WriteString(value)
	}
	return out.String()
}

// placeholder is the event's value of one name, "" where it has none.
func placeholder(ev *detect.Event, name string) string {
	d := &ev.Data
	switch {
	case name == "site":
		return ev.Site
	case name == "stream":
		return ev.Stream
	case name == "type":
		return string(ev.Type)
	case name == "severity":
		return severityWord(ev.Severity)
	case name == "zone" && d.Zone != nil:
		return d.Zone.Name
	case name == "line" && d.Line != nil:
		return d.Line.Name
	case name == "rule" && d.Rule != nil:
		return d.Rule.Name
	case name == "class" && d.Object != nil:
		return d.Object.Class
	case name == "track" && d.Object != nil:
		return d.Object.TrackID
	}
	return ""
}

// severityWord is a severity as the configuration writes it.
func severityWord(s detect.Severity) string {
	switch {
	case s >= detect.Critical:
		return "critical"
	case s >= detect.Warning:
		return "warning"
	}
	return "info"
}

// unknown says what was meant, or could have been.
func unknown(name string, allowed []string) error {
	best, near := max(1, len(name)/2)+1, ""
	for _, a := range allowed {
		if d := edits(name, a); d < best {
			best, near = d, a
		}
	}
	if near != "" {
		return fmt.Errorf("unknown placeholder {%s}; did you mean {%s}?", name, near)
	}
	return fmt.Errorf("unknown placeholder {%s}; known are {%s}", name, strings.Join(allowed, "}, {"))
}

// edits is the Levenshtein distance of two names.
func edits(a, b string) int {
	if len(a) > 2*len(b)+2 { // never what was meant, however long
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
