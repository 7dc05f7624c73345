package detect

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 14, 0, 0, 120_000_999, time.FixedZone("CEST", 7200))

func TestDataJSON(t *testing.T) {
	crossed := noon.Add(-time.Second)
	dwell, offset := 1.25, 0.0
	stream := StreamInfo{Site: "hq", Name: "gate", Epoch: "e"}
	tests := []struct {
		name string
		data Data
		want string
	}{
		{"nothing but the stream", Data{Stream: stream}, `{"stream":{"site":"hq","name":"gate","epoch":"e"}}`},
		{"nothing seen is an empty list", Data{Stream: stream, Objects: &[]Box{}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"objects":[]}`},
		{"boxes are rounded, zero is never negative", Data{Stream: stream, Objects: &[]Box{{Class: "person", Score: 0.123456, BBox: Rect{-1e-9, 1. / 3, 0.00001, 1}}}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"objects":[{"class":"person","score":0.1235,"bbox":{"x":0,"y":0.33333,"w":0.00001,"h":1}}]}`},
		{"an offset of zero is known", Data{Stream: stream, Clock: &ClockInfo{Source: "rtcp_sr", OffsetMs: &offset}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"clock":{"source":"rtcp_sr","offset_ms":0}}`},
		{"the end of an object", Data{Stream: stream, EndReason: "left", Object: &Object{
			TrackID: "e-1", Class: "car", Score: .5, State: "lost", FirstSeen: noon, LastSeen: noon, Path: [][3]float64{{0, .1234567, .5}, {99.6, 1, 1}}}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"object":{"track_id":"e-1","class":"car","score":0.5,"bbox":{"x":0,"y":0,"w":0,"h":0},"state":"lost",` +
				`"path":[[0,0.12346,0.5],[100,1,1]],"first_seen":"2026-05-04T12:00:00.120000Z","last_seen":"2026-05-04T12:00:00.120000Z"},"reason":"left"}`},
		{"the end of a stream", Data{Stream: stream, Reason: &ReasonInfo{Code: "timeout", Attempt: 2}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"reason":{"code":"timeout","attempt":2}}`},
		{"a crossing", Data{Stream: stream, Line: &LineInfo{Name: "kerb", Direction: "forward", CrossedAt: &crossed, Point: &Point{.5, .25}}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"line":{"name":"kerb","direction":"forward","point":[0.5,0.25],"crossed_at":"2026-05-04T11:59:59.120000Z"}}`},
		{"a visit", Data{Stream: stream, Zone: &ZoneInfo{Name: "door", Visit: 1, DwellS: &dwell}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"zone":{"name":"door","visit":1,"dwell_s":1.25}}`},
		{"a window", Data{Stream: stream, Window: &Window{Start: noon, End: noon, CoveredS: .0004}, Counts: &[]Count{}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"window":{"start":"2026-05-04T12:00:00.120000Z","end":"2026-05-04T12:00:00.120000Z","covered_s":0},"counts":[]}`},
		{"a ledger", Data{Stream: stream, Watermark: &noon, Accounting: &Ledger{Received: 3, Sinks: map[string]SinkLedger{"k": {Made: 1}}}},
			`{"stream":{"site":"hq","name":"gate","epoch":"e"},"watermark":"2026-05-04T12:00:00.120000Z","received":3,"decoded":0,"undecoded":{},"in_decoder":0,"inferred":0,"skipped":{},"in_flight":0,"sinks":{"k":{"made":1,"filtered":0,"acknowledged":0,"spooled":0,"dead_lettered":0,"expired":0,"dropped":{}}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("\ngot  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDataJSONErrors(t *testing.T) {
	for name, d := range map[string]Data{
		"two reasons": {EndReason: "left", Reason: &ReasonInfo{Code: "ended"}},
		"NaN":         {Object: &Object{BBox: Rect{X: math.NaN()}}},
		"infinity":    {Line: &LineInfo{Point: &Point{0, math.Inf(1)}}},
	} {
		if b, err := json.Marshal(d); err == nil {
			t.Errorf("%s: got %s, want an error", name, b)
		}
	}
}

// TestEventID holds the ids to what Python's uuid module makes of the
// documented parts: consumers may compute them.
func TestEventID(t *testing.T) {
	got := EventID("/sightline/hq/gate", "0a1b2c3d4e5f-0", LineCrossed, "in-out", "0a1b2c3d4e5f-0-7", 1)
	if want := "4378fc5a-4a91-54ae-afb3-fd1bde1193e2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e := Event{Site: "hq", Stream: "gate"}
	if e.Source() != "/sightline/hq/gate" || e.PartitionKey() != "hq/gate" {
		t.Errorf("got source %q and key %q", e.Source(), e.PartitionKey())
	}
}

func TestIoU(t *testing.T) {
	a := Rect{0, 0, 2, 2}
	for _, tt := range []struct {
		b    Rect
		want float64
	}{
		{a, 1}, {Rect{1, 1, 2, 2}, 1. / 7}, {Rect{2, 0, 1, 1}, 0}, {Rect{1, 1, 0, 0}, 0},
	} {
		if got := a.IoU(tt.b); math.Abs(got-tt.want) > 1e-15 {
			t.Errorf("IoU(%v) = %v, want %v", tt.b, got, tt.want)
		}
	}
}
