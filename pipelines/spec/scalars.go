package spec

import (
	"encoding"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// scalar decodes n into a string, number, boolean or duration.
func (d *decoder) scalar(n *node, v reflect.Value, f *field, path string) {
	want := map[reflect.Kind]string{
		reflect.String: "text", reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Float64: "a number",
	}[v.Kind()]
	if v.Type() == reflect.TypeFor[time.Duration]() {
		want = "a duration such as 20ms, 10s or 15m"
	}
	if n.kind != scalarNode {
		d.wrong(n, path, want)
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d.duration(n, v, want, path)
	case v.Kind() == reflect.String:
		d.word(n, v, f, path)
	case !n.plain:
		d.report.add(n.at, path, "want %s, got quoted text: remove the quotes", want)
	case v.Kind() == reflect.Bool:
		if n.text != "true" && n.text != "false" {
			d.report.add(n.at, path, "%q is not %s", n.raw, want)
			return
		}
		v.SetBool(n.text == "true")
	default:
		d.number(n, v, f, want, path)
	}
}

func (d *decoder) number(n *node, v reflect.Value, f *field, want, path string) {
	x, err := strconv.ParseFloat(n.text, 64)
	if err == nil && v.Kind() == reflect.Int {
		_, err = strconv.Atoi(n.text)
	}
	if err != nil {
		d.report.add(n.at, path, "%q is not %s", n.raw, want)
		return
	}
	if path == "version" && x != 1 {
		d.report.add(n.at, path, "%s is unknown; this program reads `version: 1`", n.raw)
		return
	}
	if f.hasLeast && !(x >= f.least) || f.hasMost && !(x <= f.most) {
		d.report.add(n.at, path, "%s is not between %s and %s%s", n.raw, short(f.least), short(f.most), f.unit)
		return
	}
	if v.Kind() == reflect.Int {
		v.SetInt(int64(x))
		return
	}
	v.SetFloat(x)
}

func short(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func (d *decoder) duration(n *node, v reflect.Value, want, path string) {
	value, err := time.ParseDuration(n.text)
	switch {
	case err != nil:
		d.report.add(n.at, path, "%q is not %s", n.raw, want)
	case value < 0:
		d.report.add(n.at, path, "%s is negative", n.raw)
	default:
		v.SetInt(int64(value))
	}
}

// word decodes text: a plain number or true is text where text is wanted.
func (d *decoder) word(n *node, v reflect.Value, f *field, path string) {
	switch {
	case !d.oneOf(n, f, path):
	case f.pattern != "" && !regexp.MustCompile(f.pattern).MatchString(n.text):
		d.report.add(n.at, path, "%q is not %s", n.raw, f.want)
	case f.isName && !d.name.MatchString(n.text):
		d.report.add(n.at, path, "%s", badName)
	case f.path == "yes" && n.text != stdoutPath, f.path == "model" && isModelPath(n.text):
		v.SetString(resolve(n.dir, n.text))
	case f.path == "url":
		d.url(n, v, path)
	default:
		v.SetString(n.text)
	}
}

// url decodes a stream's address; local paths are made relative to the working
// folder.
func (d *decoder) url(n *node, v reflect.Value, path string) {
	kind, file, err := sourceOf(n.text)
	switch {
	case n.text == "":
		d.report.add(n.at, path, "is empty")
	case kind == "":
		scheme, _, _ := strings.Cut(n.text, ":")
		d.report.suggest(n.at, path, nearest(strings.ToLower(scheme), schemes()), "%v", err)
	case err != nil:
		d.report.add(n.at, path, "%v", err)
	case kind == File, kind == Images:
		v.SetString(string(kind) + ":" + resolve(n.dir, file))
	default:
		v.SetString(n.text)
	}
}

// address decodes one of several addresses of a stream. Its credentials are moved
// when the stream is checked.
func (d *decoder) address(n *node, a *Address, path string) {
	if n.kind != scalarNode {
		d.wrong(n, path, "an address")
		return
	}
	d.url(n, reflect.ValueOf(a).Elem().FieldByName("URL"), path)
	a.Kind, a.Path, _ = sourceOf(a.URL)
}

const stdoutPath = "-"

// isModelPath tells a model's path from a model's name.
func isModelPath(s string) bool {
	switch strings.ToLower(filepath.Ext(s)) {
	case ".onnx", ".yaml", ".yml":
		return true
	}
	return strings.ContainsRune(s, '/')
}

// text decodes what parses itself. Its errors do not repeat the text.
func (d *decoder) text(n *node, v reflect.Value, f *field, path string) {
	if n.kind != scalarNode {
		d.wrong(n, path, "a single value")
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text))
	if secret, ok := v.Addr().Interface().(*Secret); ok && n.parts != nil {
		secret.from(n.parts)
	}
	if err == nil {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		d.report.add(n.at, path, "%q is not a time such as 2026-01-31T08:00:00Z (RFC 3339)", n.raw)
		return
	}
	d.report.add(n.at, path, "%q: %v", n.raw, err)
}
