package format

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sightline/sink"
)

// decode is what the general decoder finds: numbers stay as they are written.
func decode(text []byte) (out map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&out)
	return out, err
}

// tree is the event as its JSON has it, less what schemas leave out.
func tree(r sink.Record) (map[string]any, error) {
	text, err := sink.AppendStructured(nil, r)
	if err != nil {
		return nil, err
	}
	out, err := decode(text)
	delete(out, skipped)
	return out, err
}

// general makes a value what the general decoder makes of it.
func general(v *value) any {
	switch v.kind {
	case '{':
		out := map[string]any{}
		for i := range v.items {
			out[string(v.items[i].name)] = general(&v.items[i])
		}
		return out
	case '[':
		out := []any{}
		for i := range v.items {
			out = append(out, general(&v.items[i]))
		}
		return out
	case '"':
		return string(v.text)
	case '0':
		return json.Number(v.text)
	case 'n':
		return nil
	}
	return v.kind == 't'
}

// FuzzScan holds the scanner to the general decoder on whatever is JSON.
func FuzzScan(f *testing.F) {
	for _, r := range append(samples(), barest()) {
		text, err := sink.AppendStructured(nil, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		`{}`, ` { "a" : [ ] , "b" : { } , "" : null } `, `{"a":[1,-2.5e+3,true,false,[[]]]}`, `{"a":"\u00fc\ud83d\ude00\ud83d\u0041\"\\\/\b\f\n\r\t"}`,
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a":[1 2]}`, `{"a":"\u12"}`, `{"a":"\x"}`, "{\"a\":\"\n\"}", `{"a":nul}`, `{"a":"\ud83d`, `{"a":`, `null`, `{}{}`, `{"a":+}`,
	} {
		f.Add([]byte(text))
	}
	var p scanner
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := p.object(text)
		want, reference := decode(text)
		if !json.Valid(text) || want == nil || !utf8.Valid(text) {
			return // whatever it says, it has not panicked
		}
		if reference != nil || bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxDepth {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, general(got)); diff != "" {
			t.Errorf("%q (-general +got):\n%s", text, diff)
		}
	})
}

func TestScannerRefuses(t *testing.T) {
	var p scanner
	for _, text := range []string{``, `null`, `[]`, `{`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":[1 2]}`, `{"a":"\x"}`, "{\"a\":\"\n\"}", `{"a":nul}`, `{}x`, `{"a":}`, `{a:1}`} {
		if v, err := p.object([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, general(v))
		}
	}
	deep := bytes.Repeat([]byte(`{"a":`), 10_000)
	if _, err := p.object(deep); err == nil {
		t.Error("without an end")
	}
}
