package spec

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sightline/detect"
)

// Render writes the pipeline in force as YAML that loads again, secrets masked,
// each value followed by a comment that says where it was written. What
// `defaults` gave is shown in the streams.
func (p *Pipeline) Render(w io.Writer) error {
	r := &renderer{origins: p.origins}
	r.fields(reflect.ValueOf(p).Elem(), "", 0, "")
	_, err := io.WriteString(w, r.out.String())
	return err
}

type renderer struct {
	origins map[string]Origin
	out     strings.Builder
}

// line writes one key with its value and origin. Sections have no value.
func (r *renderer) line(indent int, lead, key, value, path string) {
	text := strings.Repeat("  ", indent) + lead + key + ":"
	if value == "" {
		r.out.WriteString(text + "\n")
		return
	}
	fmt.Fprintf(&r.out, "%-47s # %s\n", text+" "+value, r.origins[path])
}

// fields writes a struct's keys that are set and apply. Lead goes in front of the
// first one.
func (r *renderer) fields(v reflect.Value, path string, indent int, lead string) {
	kind := renderKind(v)
	for _, f := range fieldsOf(v.Type()) {
		if !f.fits(kind) || f.key == "defaults" && path == "" || hasURLs(v) && f.key == "url" {
			continue
		}
		if f.inlinedPtr != nil && v.FieldByIndex(f.inlinedPtr).IsNil() {
			continue
		}
		if r.value(v.FieldByIndex(f.index), &f, join(path, f.key), indent, lead) && lead != "" {
			indent, lead = indent+1, ""
		}
	}
}

// hasURLs tells whether v is a stream that says its address under urls.
func hasURLs(v reflect.Value) bool {
	s, ok := v.Interface().(Stream)
	return ok && s.URLs != nil
}

func renderKind(v reflect.Value) string {
	switch s := v.Interface().(type) {
	case Stream:
		var kinds []string
		for _, a := range s.addresses() {
			kinds = append(kinds, string(a.Kind))
		}
		return strings.Join(kinds, kindSeparator)
	case Rule:
		return s.Kind
	case Sink:
		return s.Kind
	}
	return ""
}

// value writes one key; it tells whether there was anything to write.
func (r *renderer) value(v reflect.Value, f *field, path string, indent int, lead string) bool {
	if f.key == "fps" && path == "detect.fps" && r.origins[path] == (Origin{}) {
		return false // the streams' own say it
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return false
		}
		v = v.Elem()
	}
	if text, ok := scalarText(v); ok {
		if text == "" {
			return false
		}
		r.line(indent, lead, f.key, text, path)
		return true
	}
	switch {
	case v.Kind() == reflect.Struct && v.NumField() == emptySection(v):
		r.line(indent, lead, f.key, "{}", path)
	case v.Kind() == reflect.Struct:
		r.line(indent, lead, f.key, "", path)
		r.fields(v, path, indent+1, "")
	case v.Len() == 0 && (f.key != "watch" || v.IsNil()):
		return false
	case v.Kind() == reflect.Map:
		r.line(indent, lead, f.key, "", path)
		r.labels(v, path, indent+1)
	case f.named:
		r.line(indent, lead, f.key, "", path)
		r.namedItems(v, path, indent+1)
	case isNamedList(f.key):
		r.line(indent, lead, f.key, "", path)
		for i := range v.Len() {
			item := v.Index(i)
			r.fields(item, itemPath(path, item.FieldByName("Name").String(), i), indent+1, "- ")
		}
	default:
		r.line(indent, lead, f.key, flow(v), path)
	}
	return true
}

// emptySection returns the number of fields of v if all are zero, so that the
// section is written {}, and -1 otherwise.
func emptySection(v reflect.Value) int {
	if v.IsZero() {
		return v.NumField()
	}
	return -1
}

func (r *renderer) labels(v reflect.Value, path string, indent int) {
	var keys []string
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	for _, k := range keys {
		if text, _ := scalarText(v.MapIndex(reflect.ValueOf(k))); text != "" {
			r.line(indent, "", quote(k), text, join(path, k))
		}
	}
}

func (r *renderer) namedItems(v reflect.Value, path string, indent int) {
	for i := range v.Len() {
		name := v.Index(i).FieldByName("Name").String()
		r.line(indent, "", quote(name), "", "")
		r.fields(v.Index(i), join(path, name), indent+1, "")
	}
}

// scalarText is how a single value is written; "" is an absent one.
func scalarText(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case Address:
		if x.IsZero() {
			return "", true
		}
		return quote(x.text()), true
	case time.Duration:
		return shortDuration(x), true
	case time.Time:
		if x.IsZero() {
			return "", true
		}
		return x.Format(time.RFC3339Nano), true
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil || len(text) == 0 {
			return "", true
		}
		return quote(string(text)), true
	}
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			return "", true
		}
		return quote(maskParameters(v.String())), true
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10), true
	case reflect.Float64:
		return short(v.Float()), true
	}
	return "", false
}

// shortDuration drops the zeros that Duration.String adds to whole minutes and hours.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// flow writes a list of words or points on one line.
func flow(v reflect.Value) string {
	var items []string
	for i := range v.Len() {
		switch x := v.Index(i).Interface().(type) {
		case detect.Point:
			items = append(items, fmt.Sprintf("[%s, %s]", short(x.X), short(x.Y)))
		case string:
			items = append(items, quote(x))
		case Address:
			items = append(items, quote(x.text()))
		}
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// quote writes text as a YAML scalar, bare where that is safe, with variables'
// `${` kept from being substituted.
func quote(s string) string {
	if bareWord().MatchString(s) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(strings.ReplaceAll(s, "${", "$${"))
}

func bareWord() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+)?[A-Za-z]*|[a-z]+:[A-Za-z0-9_./-]+(:[0-9]+)?[A-Za-z0-9_./-]*)$`)
}
