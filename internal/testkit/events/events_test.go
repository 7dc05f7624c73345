package events

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// sample is one event of each type, as full as it can be.
func sample() []detect.Event {
	at := time.Date(2026, 1, 31, 8, 0, 0, 125000, time.UTC)
	count, dwell := 2, 12.5
	base := detect.Data{
		Stream: detect.StreamInfo{Site: "hq", Name: "gate", Title: "Main gate", Labels: map[string]string{"floor": "ground"}, Epoch: "1"},
		Frame:  &detect.FrameInfo{Index: 7, PTSMs: 280, Width: 640, Height: 360},
		Clock:  &detect.ClockInfo{Source: "file"},
		Timing: &detect.Timing{ReceivedMs: 1, DecodedMs: 2, InferredMs: 3},
		Model:  &detect.Model{Name: "coco-nano", Digest: "sha256:0", Engine: "onnxruntime", Precision: "f32"},
	}
	object := &detect.Object{TrackID: "1-1", Class: "person", Score: .5, State: "active", FirstSeen: at, LastSeen: at, Path: [][3]float64{{0, .1, .2}}, Zones: []string{"door"}}
	rule := &detect.RuleInfo{Name: "r", Kind: "crossing"}
	fill := map[detect.Type]func(*detect.Data){
		detect.Detections: func(d *detect.Data) {
			d.Objects = &[]detect.Box{{Class: "person", Score: .5, TrackID: "1-1", State: "active"}}
		},
		detect.ObjectStarted: func(d *detect.Data) { d.Object = object },
		detect.ObjectUpdated: func(d *detect.Data) { d.Object, d.Changed = object, []string{"state"} },
		detect.ObjectEnded: func(d *detect.Data) {
			d.Object, d.EndReason = object, "left"
			d.Media = &detect.Media{Snapshot: &detect.Snapshot{URI: "2026-01-31/gate/1.jpg", SHA256: "00", Bytes: 9, Width: 3, Height: 4,
				Region: detect.Rect{X: .1, Y: .2, W: .3, H: .4}, Frame: 6, Time: at, Blurred: []string{"person"}}}
		},
		detect.LineCrossed: func(d *detect.Data) {
			d.Object, d.Rule, d.Line = object, rule, &detect.LineInfo{Name: "kerb", Direction: "forward", CrossedAt: &at, Point: &detect.Point{X: .5, Y: .6}}
		},
		detect.ZoneEntered: func(d *detect.Data) {
			d.Object, d.Rule, d.Zone = object, rule, &detect.ZoneInfo{Name: "door", Visit: 1}
		},
		detect.ZoneExited: func(d *detect.Data) {
			d.Object, d.Rule, d.Zone = object, rule, &detect.ZoneInfo{Name: "door", Visit: 1}
		},
		detect.ZoneDwell: func(d *detect.Data) {
			d.Object, d.Rule, d.Zone = object, rule, &detect.ZoneInfo{Name: "door", Visit: 1, DwellS: &dwell}
		},
		detect.ZoneOccupancy: func(d *detect.Data) { d.Rule, d.Zone = rule, &detect.ZoneInfo{Name: "door", Occupancy: &count} },
		detect.CountReported: func(d *detect.Data) {
			d.Rule, d.Line, d.Window = rule, &detect.LineInfo{Name: "kerb"}, &detect.Window{Start: at, End: at.Add(time.Minute), CoveredS: 60}
			d.Counts = &[]detect.Count{{Class: "person", Direction: "forward", Count: 3}}
		},
		detect.StreamOnline:   func(*detect.Data) {},
		detect.StreamOffline:  func(d *detect.Data) { d.Reason = &detect.ReasonInfo{Code: "timeout", Message: "m", Attempt: 2} },
		detect.StreamDegraded: func(d *detect.Data) { d.Reason = &detect.ReasonInfo{Code: "damaged"} },
		detect.SinkDegraded:   func(d *detect.Data) { d.Reason = &detect.ReasonInfo{Code: "refused"} },
		detect.Accounting: func(d *detect.Data) {
			d.Watermark, d.Accounting = &at, &detect.Ledger{Received: 3, Sinks: map[string]detect.SinkLedger{"events": {Made: 1}}}
		},
	}
	var out []detect.Event
	for _, b := range required() {
		data := base
		fill[b.typ](&data)
		out = append(out, detect.Event{Site: "hq", Stream: "gate", Type: b.typ, ID: "5f1d7e2a-6f0c-5b1e-9d9c-1f2e3d4c5b6a", Subject: "stream/gate",
			Time: at, Severity: detect.Info, Recorded: at, Data: data})
	}
	return out
}

func encode(t *testing.T, e detect.Event) []byte {
	t.Helper()
	text, err := sink.AppendStructured(nil, sink.Record{Event: &e, Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryTypeIsDescribed(t *testing.T) {
	for _, e := range sample() {
		Validate(t, encode(t, e))
	}
}

// TestMissingMembersAreSeen removes each promised member in turn.
func TestMissingMembersAreSeen(t *testing.T) {
	for i, b := range required() {
		text := string(encode(t, sample()[i]))
		for _, member := range append([]string{"stream", "time", "sequence"}, b.data...) {
			broken := strings.Replace(text, `"`+member+`":`, `"x-`+member+`":`, 1)
			if broken == text {
				t.Fatalf("%s has no %s", b.typ, member)
			}
			if Check([]byte(broken)) == nil {
				t.Errorf("%s passes without %s", b.typ, member)
			}
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	good := encode(t, sample()[0])
	for name, change := range map[string][2]string{
		"no JSON":             {`{`, ``},
		"an unknown member":   {`"data":{`, `"data":{"extra":1,`},
		"an unknown attr":     {`"data":{`, `"extra":1,"data":{`},
		"an unknown type":     {`sightline.detections`, `sightline.detection`},
		"a time without µs":   {`.000125Z`, `Z`},
		"a short sequence":    {`"00000000000000000001"`, `"1"`},
		"another schema":      {`:detections:1`, `:detections:2`},
		"a severity in words": {`"severitynumber":9`, `"severitynumber":"9"`},
	} {
		bad := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: nothing was changed in %s", name, good)
		}
		if Check(bad) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestValidateLines(t *testing.T) {
	var all []byte
	for _, e := range sample() {
		all = append(append(all, encode(t, e)...), '\n')
	}
	if n := ValidateLines(t, all); n != len(sample()) {
		t.Errorf("%d lines, want %d", n, len(sample()))
	}
}
