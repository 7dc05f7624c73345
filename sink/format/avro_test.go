package format

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"

	"sightline/detect"
	"sightline/sink"
)

func TestAvroSchemasAreValid(t *testing.T) {
	for _, typ := range EventTypes() {
		s, err := avro.Parse(string(AvroSchema(typ)))
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if name := s.(avro.NamedSchema).FullName(); name != "sightline.v1."+recordName(typ) {
			t.Errorf("%s has the schema of %s", typ, name)
		}
	}
	if got := recordName(detect.Accounting); got != "PipelineAccounting" {
		t.Error(got)
	}
}

func avroTo(t testing.TB, url string) Format {
	t.Helper()
	f, err := New(Config{Kind: Avro, Registry: Registry{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readBack is the record as it comes from disk.
func readBack(t testing.TB, r sink.Record) sink.Record {
	t.Helper()
	b, err := sink.AppendRecord(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := sink.ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestAvroHoldsTheWholeEvent decodes each with the library's own decoder.
func TestAvroHoldsTheWholeEvent(t *testing.T) {
	url, _ := notes(t, number)
	f := avroTo(t, url)
	for _, r := range append(samples(), barest()) {
		b, err := f.Append(t.Context(), []byte("x"), r)
		if err != nil {
			t.Fatal(err)
		}
		frame, ok := strings.CutPrefix(string(b), "x\x00\x00\x00\x01\x02")
		if !ok {
			t.Fatalf("%s begins % x", r.Event.Type, b[:8])
		}
		again, err := f.Append(t.Context(), nil, readBack(t, r))
		if err != nil || string(again[5:]) != frame {
			t.Errorf("%s is another after it was read back (%v)", r.Event.Type, err)
		}
		var got map[string]any
		if err := avro.Unmarshal(avro.MustParse(string(AvroSchema(r.Event.Type))), []byte(frame), &got); err != nil {
			t.Fatalf("%s: %v", r.Event.Type, err)
		}
		want, err := tree(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(simple(want), simple(got)); diff != "" {
			t.Errorf("%s (-JSON +Avro):\n%s", r.Event.Type, diff)
		}
	}
}

// simple makes what two decoders give comparable: numbers as %v of a float, times
// as text, points as arrays, nothing for null, no unions.
func simple(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for k, inner := range v {
				if strings.HasPrefix(k, Namespace) || k == "array" || k == "map" || strings.HasPrefix(k, "long.") {
					return simple(inner)
				}
			}
		}
		if x, ok := v["ms"]; ok && len(v) == 3 {
			return []any{simple(x), simple(v["x"]), simple(v["y"])}
		}
		if x, ok := v["x"]; ok && len(v) == 2 {
			return []any{simple(x), simple(v["y"])}
		}
		out := map[string]any{}
		for k, inner := range v {
			if s := simple(inner); s != nil {
				out[k] = s
			}
		}
		return out
	case []any:
		out := []any{}
		for _, inner := range v {
			out = append(out, simple(inner))
		}
		return out
	case time.Time:
		return detect.FormatTime(v)
	case string:
		if len(v) == 20 && strings.HasPrefix(v, "00000000") {
			return fmt.Sprint(strings.TrimLeft(v, "0"))
		}
		return v
	case json.Number:
		x, _ := v.Float64()
		return fmt.Sprint(x)
	case nil:
		return nil
	}
	return fmt.Sprint(v)
}

func TestAvroSaysWhatItCannotHold(t *testing.T) {
	url, _ := notes(t, number)
	f := avroTo(t, url)
	r := samples()[1]
	text, err := sink.AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][2]string{
		`data: the schema of ObjectStartedData has no "extra"`: {`"data":{`, `"data":{"extra":1,`},
		"data: object: score: high is no number":               {`"score":0.8765`, `"score":"high"`},
		"time: ":                                               {`"time":"2026-`, `"time":"once-`},
		"source is missing":                                    {`"source":"/sightline/hq/gate",`, ``},
		"decode event 5f1d7":                                   {`"data":{`, `"data":[`},
	} {
		r.JSON = []byte(strings.Replace(string(text), change[0], change[1], 1))
		b, err := f.Append(t.Context(), []byte("x"), r)
		if err == nil || !strings.Contains(err.Error(), want) || Temporary(err) || string(b) != "x" {
			t.Errorf("got %q, %v, want %s", b, err, want)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	server, _ := notes(b, number)
	r := samples()[4]
	text, err := sink.AppendStructured(nil, r)
	if err != nil {
		b.Fatal(err)
	}
	r.JSON = text
	for _, kind := range []string{CloudEvents, Avro, Protobuf} {
		b.Run(kind, func(b *testing.B) {
			f, err := New(Config{Kind: kind, Registry: Registry{URL: server}})
			if err != nil {
				b.Fatal(err)
			}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = f.Append(b.Context(), dst[:0], r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
	}
}
