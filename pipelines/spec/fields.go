package spec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// field is one key of a struct type, as its tags describe it.
type field struct {
	key        string
	index      []int    // for reflect.Value.FieldByIndex
	named      bool     // a map of names in YAML, a slice with Name in Go
	kinds      []string // kinds of rule, sink or stream that have it; nil is all
	isName     bool     // must match the name pattern
	path       string   // relative to the file: "yes", or "model" where a name is possible
	required   bool
	enum       []string
	pattern    string
	want       string // what pattern asks for, in words
	fallback   string // default
	least      float64
	most       float64
	hasLeast   bool
	hasMost    bool
	unit       string // of the range
	minItems   int
	maxItems   int
	typ        reflect.Type
	inlinedPtr []int // index of the inlined pointer it lives behind, nil for none
}

// fieldsOf lists the keys of struct type t, inlined structs included, in order.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for sf := range t.Fields() {
		tag, ok := sf.Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		kinds := words(sf.Tag.Get("kinds"))
		key, option, _ := strings.Cut(tag, ",")
		if option == "inline" {
			out = append(out, inlined(sf, kinds)...)
			continue
		}
		f := field{
			key: key, index: sf.Index, named: option == "named", kinds: kinds, typ: sf.Type,
			isName: sf.Tag.Get("name") != "", path: sf.Tag.Get("path"), want: sf.Tag.Get("want"),
		}
		f.constraints(sf.Tag.Get("jsonschema"))
		out = append(out, f)
	}
	return out
}

func inlined(sf reflect.StructField, kinds []string) []field {
	t, pointer := sf.Type, sf.Type.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	out := fieldsOf(t)
	for i := range out {
		out[i].index = append(slices.Clone(sf.Index), out[i].index...)
		if pointer {
			out[i].inlinedPtr = sf.Index
		}
		if out[i].kinds == nil {
			out[i].kinds = kinds
		}
	}
	return out
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// constraints reads what the JSON Schema's tag says of the value.
func (f *field) constraints(tag string) {
	for _, part := range words(tag) {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "required":
			f.required = true
		case "enum":
			f.enum = append(f.enum, value)
		case "pattern":
			f.pattern = value
		case "default":
			f.fallback = value
		case "minimum":
			f.least, f.hasLeast = number(value), true
		case "maximum":
			f.most, f.hasMost = number(value), true
		case "minItems":
			f.minItems = int(number(value))
		case "maxItems":
			f.maxItems = int(number(value))
		}
	}
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("a tag's number is none: " + s)
	}
	return v
}

// fits tells whether values of this kind have the field; a stream with addresses
// of several kinds has what any of them has. An unknown kind has all.
func (f *field) fits(kind string) bool {
	return kind == "" || f.kinds == nil || slices.ContainsFunc(strings.Split(kind, kindSeparator), func(k string) bool {
		return slices.Contains(f.kinds, k)
	})
}

const kindSeparator = ", "

// kindOf returns which kind the map n of struct type t is, "" where t has none or
// n does not say, with the words that messages use for it.
func kindOf(t reflect.Type, n *node) (kind, phrase string) {
	switch t {
	case reflect.TypeFor[Rule]():
		kind, phrase = n.word("kind"), "rule"
	case reflect.TypeFor[Sink]():
		kind, phrase = n.word("kind"), "sink"
	case reflect.TypeFor[Stream]():
		return strings.Join(streamKinds(n), kindSeparator), "stream"
	}
	for _, f := range fieldsOf(t) {
		if f.key == "kind" && !slices.Contains(f.enum, kind) {
			return "", phrase
		}
	}
	return kind, phrase
}

// streamKinds lists what kinds of source a stream's addresses name, its own first.
func streamKinds(n *node) (kinds []string) {
	texts := []string{ownAddress(n), n.get("urls").word("sub")}
	if list := n.get("fallback"); list != nil {
		for _, item := range list.items {
			texts = append(texts, item.text)
		}
	}
	for _, text := range texts {
		kind, _, _ := sourceOf(text)
		if text != "" && kind != "" && !slices.Contains(kinds, string(kind)) {
			kinds = append(kinds, string(kind))
		}
	}
	return kinds
}

// ownAddress is a stream's url, or urls.main.
func ownAddress(n *node) string {
	if urls := n.get("urls"); urls != nil {
		return urls.word("main")
	}
	return n.word("url")
}
