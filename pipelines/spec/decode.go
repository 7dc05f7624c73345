package spec

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sightline/detect"
)

// decoder fills typed structs from nodes and reports every mistake it meets.
type decoder struct {
	report  *report
	origins map[string]Origin
	name    *regexp.Regexp
}

const namePattern = `^[a-z0-9][a-z0-9_-]{0,62}$`

func newDecoder(r *report) *decoder {
	return &decoder{r, map[string]Origin{}, regexp.MustCompile(namePattern)}
}

// value decodes n into v, which field f describes. n is not nil.
func (d *decoder) value(n *node, v reflect.Value, f *field, path string) {
	if n.kind == brokenNode {
		d.report.add(n.at, path, "%s", n.problem)
		return
	}
	if n.at.File != "" {
		d.origins[path] = n.at
	}
	if v.Kind() == reflect.Pointer && !v.Type().Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case v.Type() == reflect.TypeFor[detect.Point]():
		d.point(n, v, path)
	case v.Type() == reflect.TypeFor[Address]():
		d.address(n, v.Addr().Interface().(*Address), path)
	case v.CanAddr() && v.Addr().Type().Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		d.text(n, v, f, path)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path)
	case v.Kind() == reflect.Slice && f.named:
		d.namedMap(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, f, path)
	case v.Kind() == reflect.Map:
		d.stringMap(n, v, path)
	default:
		d.scalar(n, v, f, path)
	}
}

// wrong reports a value of the wrong shape.
func (d *decoder) wrong(n *node, path, want string) {
	d.report.add(n.at, path, "want %s, got %s", want, n.describe())
}

func (d *decoder) structure(n *node, v reflect.Value, path string) {
	if n.kind != mapNode {
		d.wrong(n, path, "keys and values")
		return
	}
	kind, phrase := kindOf(v.Type(), n)
	fields := fieldsOf(v.Type())
	for _, e := range n.entries {
		d.known(e, fields, kind, phrase, join(path, e.key))
	}
	for i := range fields {
		f := &fields[i]
		if f.kinds != nil && (kind == "" || !f.fits(kind)) && phrase != "" {
			continue
		}
		if f.inlinedPtr != nil && v.FieldByIndex(f.inlinedPtr).IsNil() {
			target := v.FieldByIndex(f.inlinedPtr)
			target.Set(reflect.New(target.Type().Elem()))
		}
		d.field(n, v.FieldByIndex(f.index), f, path)
	}
}

// field decodes one key of map n, or its default.
func (d *decoder) field(n *node, v reflect.Value, f *field, path string) {
	child := n.get(f.key)
	if child != nil && child.kind == scalarNode && child.text == "" && f.required {
		d.report.add(child.at, join(path, f.key), "is empty")
		return
	}
	switch {
	case child != nil:
		d.value(child, v, f, join(path, f.key))
	case f.required:
		d.report.add(n.at, join(path, f.key), "missing%s", f.hint())
	case f.fallback != "":
		d.value(defaultNode(f.fallback), v, f, join(path, f.key))
	case v.Kind() == reflect.Struct && !v.Addr().Type().Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		d.structure(&node{kind: mapNode}, v, join(path, f.key))
	}
}

// hint says what a missing value could be.
func (f *field) hint() string {
	switch {
	case f.enum != nil:
		return "; one of " + strings.Join(f.enum, ", ")
	case f.key == "version": // the file's, the only one that is required
		return "; this program reads `version: 1`"
	}
	return ""
}

// known reports keys that do not exist, or not for this kind.
func (d *decoder) known(e entry, fields []field, kind, phrase, path string) {
	var keys, others []string // what this kind has, and who else has this key
	for i := range fields {
		f := &fields[i]
		switch {
		case f.key == e.key && f.fits(kind):
			return
		case f.key == e.key:
			others = append(others, f.kinds...)
		case f.fits(kind):
			keys = append(keys, f.key)
		}
	}
	if others != nil {
		if !e.value.inherited && e.value.kind != nullNode {
			d.report.add(e.at, path, "a key of %s %ss only; this one is %s", strings.Join(others, ", "), phrase, kind)
		}
		return
	}
	if near := nearest(e.key, keys); near != "" {
		d.report.suggest(e.at, path, near, "unknown key")
		return
	}
	d.report.add(e.at, path, "unknown key; known here: %s", strings.Join(keys, ", "))
}

// namedMap decodes a map of names to structs into a slice, in the file's order.
func (d *decoder) namedMap(n *node, v reflect.Value, path string) {
	if n.kind != mapNode {
		d.wrong(n, path, "names and what they stand for")
		return
	}
	for _, e := range n.entries {
		if e.value.kind == nullNode {
			continue
		}
		if !d.name.MatchString(e.key) {
			d.report.add(e.at, join(path, e.key), "%s", badName)
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		item := v.Index(v.Len() - 1)
		item.FieldByName("Name").SetString(e.key)
		d.value(e.value, item, &field{}, join(path, e.key))
	}
}

const badName = "not a name: want lower-case letters, digits, - and _, starting with a letter or digit, 63 at most"

func (d *decoder) list(n *node, v reflect.Value, f *field, path string) {
	if n.kind != listNode {
		d.wrong(n, path, "a list")
		return
	}
	if n := len(n.items); n < f.minItems || f.maxItems > 0 && n > f.maxItems {
		d.report.add(d.origins[path], path, "want %s, got %d", f.itemCount(), n)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.items)))
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if name := itemName(f.key, item); isNamedList(f.key) && d.name.MatchString(name) {
			at = join(path, name)
		}
		if item.kind == nullNode {
			d.report.add(item.at, at, "is empty")
			continue
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		d.value(item, v.Index(v.Len()-1), &field{enum: f.enum}, at)
	}
}

// itemCount says in words how many items the list takes.
func (f *field) itemCount() string {
	switch f.maxItems {
	case 0:
		return fmt.Sprintf("at least %d", f.minItems)
	case f.minItems:
		return fmt.Sprintf("exactly %d", f.minItems)
	}
	return fmt.Sprintf("%d to %d", f.minItems, f.maxItems)
}

func (d *decoder) stringMap(n *node, v reflect.Value, path string) {
	if n.kind != mapNode {
		d.wrong(n, path, "keys and values")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		if e.value.kind == nullNode {
			continue
		}
		text := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, text, &field{}, join(path, e.key))
		v.SetMapIndex(reflect.ValueOf(e.key), text)
	}
}

// point decodes [x, y] in 0..1.
func (d *decoder) point(n *node, v reflect.Value, path string) {
	if n.kind != listNode || len(n.items) != 2 {
		d.report.add(n.at, path, "want a point [x, y] with both in 0..1 of the picture")
		return
	}
	limit := &field{hasLeast: true, hasMost: true, most: 1, unit: " of the picture"}
	for i, item := range n.items {
		d.value(item, v.Field(i), limit, path)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// where returns the origin of the value at path, or of the nearest one around it.
func (d *decoder) where(path string) Origin {
	for {
		if at, ok := d.origins[path]; ok {
			return at
		}
		i := max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['))
		if i < 0 {
			return d.origins[""]
		}
		path = path[:i]
	}
}

// oneOf tells whether text is among the field's words, and reports it if not.
func (d *decoder) oneOf(n *node, f *field, path string) bool {
	if f.enum == nil || slices.Contains(f.enum, n.text) {
		return true
	}
	d.report.suggest(n.at, path, nearest(n.text, f.enum), "%q is none of %s", n.raw, strings.Join(f.enum, ", "))
	return false
}
