package format

import (
	"time"

	"sightline/detect"
	"sightline/sink"
)

// samples is one record of each type of event, as full as it can be, addressed and
// numbered.
func samples() []sink.Record {
	at := time.Date(2026, 1, 31, 8, 0, 0, 125_000, time.UTC)
	seen := at.Add(-2500 * time.Millisecond)
	offset, uncertainty, dwell, count := -3.5, 12.25, 12.5, 2
	base := detect.Data{
		Stream: detect.StreamInfo{Site: "hq", Name: "gate", Title: "Main gate", Labels: map[string]string{"floor": "ground"}, Epoch: "1769846400000000"},
		Frame:  &detect.FrameInfo{Index: 7, PTSMs: 280.125, Width: 640, Height: 360},
		Clock:  &detect.ClockInfo{Source: "rtcp_sr", OffsetMs: &offset, UncertaintyMs: &uncertainty},
		Timing: &detect.Timing{ReceivedMs: 1, DecodedMs: 2.5, InferredMs: 30.125},
		Model:  &detect.Model{Name: "coco-nano", Digest: "sha256:0", Engine: "onnxruntime", Precision: "f32"},
	}
	object := &detect.Object{
		TrackID: "1769846400000000-12", Class: "person", Score: .87654, BBox: detect.Rect{X: .25, Y: .123456, W: .125, H: .5}, State: "stationary",
		FirstSeen: seen, LastSeen: at, Path: [][3]float64{{0, .3125, .6}, {1200.4, .32, .625}}, Zones: []string{"door"},
	}
	rule := &detect.RuleInfo{Name: "in-out", Kind: "crossing"}
	visit := &detect.ZoneInfo{Name: "door", Visit: 1, DwellS: &dwell, Occupancy: &count}
	fill := []struct {
		typ     detect.Type
		subject string
		with    func(*detect.Data)
	}{
		{detect.Detections, "stream/gate", func(d *detect.Data) {
			d.Objects = &[]detect.Box{
				{Class: "person", Score: .87654, BBox: object.BBox, TrackID: object.TrackID, State: "active"},
				{Class: "traffic light", Score: .41, BBox: detect.Rect{X: -.01, Y: .9, W: .05, H: .2}},
			}
		}},
		{detect.ObjectStarted, "track/1769846400000000-12", func(d *detect.Data) { d.Object = object }},
		{detect.ObjectUpdated, "track/1769846400000000-12", func(d *detect.Data) { d.Object, d.Changed = object, []string{"state", "zones"} }},
		{detect.ObjectEnded, "track/1769846400000000-12", func(d *detect.Data) {
			d.Object, d.EndReason, d.Media = object, "left", &detect.Media{Snapshot: &detect.Snapshot{
				URI: "12.jpg", SHA256: "ab", Bytes: 9, Width: 80, Height: 180, Region: object.BBox, Frame: 5, Time: seen, Blurred: []string{"face"}}}
		}},
		{detect.LineCrossed, "line/kerb", func(d *detect.Data) {
			d.Object, d.Rule, d.Line = object, rule, &detect.LineInfo{Name: "kerb", Direction: "backward", CrossedAt: &seen, Point: &detect.Point{X: .5, Y: .6}}
		}},
		{detect.ZoneEntered, "zone/door", func(d *detect.Data) { d.Object, d.Rule, d.Zone = object, rule, visit }},
		{detect.ZoneExited, "zone/door", func(d *detect.Data) { d.Object, d.Rule, d.Zone, d.Frame, d.Clock = object, rule, visit, nil, nil }},
		{detect.ZoneDwell, "zone/door", func(d *detect.Data) { d.Object, d.Rule, d.Zone = object, rule, visit }},
		{detect.ZoneOccupancy, "zone/door", func(d *detect.Data) { d.Rule, d.Zone = rule, visit }},
		{detect.CountReported, "line/kerb", func(d *detect.Data) {
			d.Rule, d.Line, d.Window = rule, &detect.LineInfo{Name: "kerb"}, &detect.Window{Start: seen, End: at, CoveredS: 2.5}
			d.Counts = &[]detect.Count{{Class: "person", Direction: "forward", Count: 3}}
		}},
		{detect.StreamOnline, "stream/gate", func(*detect.Data) {}},
		{detect.StreamOffline, "stream/gate", func(d *detect.Data) {
			d.Reason = &detect.ReasonInfo{Code: "timeout", Message: "no packet for 10s", Attempt: 2}
		}},
		{detect.StreamDegraded, "stream/gate", func(d *detect.Data) { d.Reason = &detect.ReasonInfo{Code: "damaged"} }},
		{detect.SinkDegraded, "sink/events", func(d *detect.Data) { d.Reason = &detect.ReasonInfo{Code: "refused"} }},
		{detect.Accounting, "stream/gate", func(d *detect.Data) {
			d.Watermark = &at
			d.Accounting = &detect.Ledger{Received: 9, Decoded: 5, Undecoded: map[string]uint64{"skipped": 4}, Inferred: 5,
				Sinks: map[string]detect.SinkLedger{"events": {Made: 3, Acknowledged: 2, Dropped: map[string]uint64{"queue_full": 1}}}}
		}},
	}
	var out []sink.Record
	for i, f := range fill {
		data := base
		f.with(&data)
		out = append(out, sink.Record{
			Route: sink.Route{Topic: "sightline.hq"}, Sequence: uint64(40 + i),
			Event: &detect.Event{
				Site: "hq", Stream: "gate", Type: f.typ, ID: "5f1d7e2a-6f0c-5b1e-9d9c-1f2e3d4c5b6a", Subject: f.subject,
				Time: at, Severity: detect.Info, Recorded: at.Add(40 * time.Millisecond), DataRef: "s3://snapshots/12.jpg", Data: data,
			},
		})
	}
	return out
}

// barest is a record with as little as there can be.
func barest() sink.Record {
	return sink.Record{Sequence: 1, Event: &detect.Event{
		Site: "hq", Stream: "gate", Type: detect.StreamOnline, ID: "5f1d7e2a-6f0c-5b1e-9d9c-1f2e3d4c5b6a", Subject: "stream/gate",
		Time: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC), Data: detect.Data{Stream: detect.StreamInfo{Site: "hq", Name: "gate"}},
	}}
}
