package sink

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/internal/testkit/events"
)

func crossing() Record {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
	return Record{Sequence: 42, Event: &detect.Event{
		Site: "hq", Stream: "gate", Type: detect.LineCrossed, ID: "0f4e5c2a-0000-5000-8000-000000000001",
		Subject: "line/kerb", Time: at, Severity: detect.Warning, Recorded: at.Add(time.Second),
		Data: detect.Data{
			Stream: detect.StreamInfo{Site: "hq", Name: "gate", Epoch: "17"},
			Frame:  &detect.FrameInfo{Index: 3, PTSMs: 80, Width: 768, Height: 576},
			Clock:  &detect.ClockInfo{Source: "arrival"},
			Object: &detect.Object{TrackID: "17-1", Class: "person", Score: 0.5, State: "active", FirstSeen: at, LastSeen: at},
			Rule:   &detect.RuleInfo{Name: "in-out", Kind: "crossing"},
			Line:   &detect.LineInfo{Name: "kerb", Direction: "forward", CrossedAt: &at, Point: &detect.Point{X: 0.5, Y: 0.6}},
		},
	}}
}

func TestAppendStructuredWritesAttributesThenData(t *testing.T) {
	dst, err := AppendStructured([]byte("before"), crossing())
	if err != nil {
		t.Fatal(err)
	}
	got, ok := strings.CutPrefix(string(dst), "before")
	if !ok {
		t.Fatalf("what was in the buffer is gone: %s", dst)
	}
	want := `{"specversion":"1.0","id":"0f4e5c2a-0000-5000-8000-000000000001",` +
		`"source":"/sightline/hq/gate","type":"sightline.line.crossed","subject":"line/kerb",` +
		`"time":"2026-03-01T11:00:00.123456Z","datacontenttype":"application/json",` +
		`"dataschema":"urn:sightline:line.crossed:1","partitionkey":"hq/gate",` +
		`"sequence":"00000000000000000042","severitytext":"WARN","severitynumber":13,` +
		`"recordedtime":"2026-03-01T11:00:01.123456Z","data":{`
	if !strings.HasPrefix(got, want) {
		t.Fatalf("attributes:\n got %s\nwant %s…", got, want)
	}
	events.Validate(t, []byte(got))
	var whole struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(got), &whole); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	data, err := AppendData(nil, crossing())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole.Data, data) {
		t.Errorf("data differs between structured (%s) and alone (%s)", whole.Data, data)
	}
}

func TestAbsentAttributesAreLeftOut(t *testing.T) {
	r := crossing()
	r.Event.Recorded, r.Event.Severity, r.Event.Subject = time.Time{}, 0, ""
	dst, err := AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"recordedtime", "severitytext", "severitynumber", "subject"} {
		if bytes.Contains(dst, []byte(`"`+name+`"`)) {
			t.Errorf("%s is there though nothing is known of it: %s", name, dst)
		}
	}
}

func TestSeverityTextFollowsTheNumber(t *testing.T) {
	for severity, want := range map[detect.Severity]string{detect.Info: "INFO", detect.Warning: "WARN", detect.Critical: "ERROR"} {
		if got := severityText(severity); got != want {
			t.Errorf("severity %d: got %s, want %s", severity, got, want)
		}
	}
}

// Headers and structured encoding must never tell different stories.
func TestAttributesAgreeWithStructured(t *testing.T) {
	r := crossing()
	r.Event.Site = "h\"q\\\n\xff ü" // whatever a site is called, the JSON stays JSON
	dst, err := AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(dst))
	dec.UseNumber()
	if err := dec.Decode(&fields); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, dst)
	}
	got, want := map[string]string{}, map[string]string{}
	for _, h := range Attributes(r) {
		name, ok := strings.CutPrefix(h.Key, "ce_")
		if !ok || name != strings.ToLower(name) {
			t.Errorf("header %q is not ce_ and a lower case name", h.Key)
		}
		got[name] = strings.ToValidUTF8(string(h.Value), "\ufffd")
	}
	for name, v := range fields {
		switch v := v.(type) {
		case string:
			want[name] = v
		case json.Number:
			want[name] = v.String()
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers differ from the JSON attributes (-json +headers):\n%s", diff)
	}
}

func TestSequenceSortsAsText(t *testing.T) {
	for n, want := range map[uint64]string{0: "00000000000000000000", 1: "00000000000000000001", 1<<64 - 1: "18446744073709551615"} {
		if got := string(appendPadded(nil, n)); got != want {
			t.Errorf("sequence %d: got %s, want %s", n, got, want)
		}
	}
}

func FuzzAppendJSONString(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte("\x00\x1f\"\\/\u2028\xff\xfe\U0001f600\x7f"))
	f.Fuzz(func(t *testing.T, s []byte) {
		var got string
		if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil {
			t.Fatalf("%q is not JSON: %v", s, err)
		}
		var want string
		reference, err := json.Marshal(string(s))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("%q reads back as %q, want %q", s, got, want)
		}
	})
}

func BenchmarkAppendStructured(b *testing.B) {
	seen := crossing()
	boxes := make([]detect.Box, 20)
	for i := range boxes {
		boxes[i] = detect.Box{Class: "person", Score: 0.8765432, BBox: detect.Rect{X: 0.1234567, Y: 0.2, W: 0.1, H: 0.3}, TrackID: "17-4"}
	}
	seen.Event.Type, seen.Event.Data.Line, seen.Event.Data.Objects = detect.Detections, nil, &boxes
	for name, r := range map[string]Record{"crossing": crossing(), "detections of 20": seen} {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = AppendStructured(dst[:0], r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
