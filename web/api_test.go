package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/ingest"
	"sightline/pipelines"
)

func getJSON(t testing.TB, p Pipeline, path string) (int, any) {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "localhost"
	w := request(t, p, r)
	var v any
	if w.Code == 200 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
	}
	return w.Code, v
}

func ledger() detect.Ledger {
	return detect.Ledger{
		Received: 100, Decoded: 80, Undecoded: map[string]uint64{"shed": 15, "damaged": 2}, InDecoder: 3,
		Inferred: 50, Skipped: map[string]uint64{"sampled": 29}, InFlight: 1,
		Sinks: map[string]detect.SinkLedger{"jsonl": {
			Made: 40, Filtered: 10, Acknowledged: 20, Spooled: 4, DeadLettered: 1, Expired: 2, Dropped: map[string]uint64{"full": 3},
		}},
	}
}

func withStreams(p *fake) *fake {
	p.streams = []pipelines.StreamStatus{
		{Name: "gate", Title: "Main gate", Kind: "rtsp", State: "online", Codec: "h264", Width: 640, Height: 480, Bytes: 12345, Keep: 0.5,
			Queue: 2, QueueBytes: 4096, DecodeSeconds: 1.5, LostSeconds: 2.25, Degraded: []string{"damaged", "moved"},
			Decoder: pipelines.DecoderStatus{Name: "h264", Bytes: 5 << 20, Ceiling: 9 << 20},
			Input:   pipelines.InputStatus{Index: 1, Connects: 7, Abandoned: 2, Losses: &ingest.Losses{Lost: 11, Late: 12, Repeated: 13, Restarts: 14, Malformed: 15}},
			Clock:   &pipelines.ClockStatus{Source: "rtcp_sr", OffsetMs: -20, UncertaintyMs: 4, DriftPPM: 30}, Model: detect.Model{Name: "coco-nano", Digest: "d1", Engine: "openvino", Precision: "bf16"}, Ledger: ledger()},
		{Name: "lobby", Kind: "whip", State: "starting", Keep: 1},
		{Name: "guarded", Kind: "whip", State: "offline", Reason: &detect.ReasonInfo{Code: "timeout"}, Keep: 1},
	}
	p.sinks = []pipelines.SinkStatus{{Name: "jsonl", Kind: "jsonl", State: "degraded", Troubles: []string{"spool_full", "unreachable"},
		Error: "disk full", Events: 4, Bytes: 400, OldestS: 12.5, HeldKeys: 2, DeadLetters: 1, LastAckS: 0.25,
		Spool:  &pipelines.Spool{Path: "spool/jsonl", Disk: 8192, Unsynced: 3},
		Others: map[string]detect.SinkLedger{"gone": {Made: 9, Recovered: 9, Acknowledged: 7, Dropped: map[string]uint64{"corrupt": 2}}}}}
	return p
}

func TestStreams(t *testing.T) {
	_, v := getJSON(t, withStreams(newFake(t, onLoopback)), "/api/v1/streams")
	got := v.([]any)
	if len(got) != 3 {
		t.Fatalf("%d streams", len(got))
	}
	gate := got[0].(map[string]any)
	for key, want := range map[string]any{"name": "gate", "title": "Main gate", "kind": "rtsp", "state": "online", "codec": "h264", "width": 640.0} {
		if gate[key] != want {
			t.Errorf("%s is %v, want %v", key, gate[key], want)
		}
	}
	want := []any{
		map[string]any{"name": "kerb", "points": []any{[]any{0.0, 0.5}, []any{1.0, 0.5}}, "counts": map[string]any{"forward": 0.0, "backward": 0.0}},
		map[string]any{"name": "fence", "points": []any{[]any{0.0, 0.1}, []any{1.0, 0.1}}}, // no rule counts there
	}
	if diff := cmp.Diff(want, gate["lines"]); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for _, v := range gate["zones"].([]any) {
		z := v.(map[string]any)
		if _, told := z["occupancy"]; told != (z["name"] == "door") {
			t.Errorf("zone %v: occupancy told: %v", z["name"], told)
		}
	}
	if lobby := got[1].(map[string]any); cmp.Diff([]any{}, lobby["lines"]) != "" || cmp.Diff([]any{}, lobby["zones"]) != "" {
		t.Errorf("a stream without places has %v, %v; want empty lists", lobby["lines"], lobby["zones"])
	}
}

func TestOneStreamSinksAndLedger(t *testing.T) {
	p := withStreams(newFake(t, onLoopback))
	if code, v := getJSON(t, p, "/api/v1/streams/guarded"); code != 200 || v.(map[string]any)["reason"].(map[string]any)["code"] != "timeout" {
		t.Errorf("stream: %d %v", code, v)
	}
	if code, _ := getJSON(t, p, "/api/v1/streams/nobody"); code != 404 {
		t.Errorf("unknown stream: %d", code)
	}
	if code, _ := getJSON(t, p, "/api/v1/streams/nobody/frame.jpg"); code != 404 {
		t.Errorf("picture of an unknown stream: %d", code)
	}
	_, v := getJSON(t, p, "/api/v1/sinks")
	if s := v.([]any)[0].(map[string]any); s["state"] != "degraded" || s["error"] != "disk full" || s["queued_events"] != 4.0 || s["oldest_s"] != 12.5 || s["held_keys"] != 2.0 || s["spool"].(map[string]any)["unsynced"] != 3.0 {
		t.Errorf("sink: %v", s)
	}
	_, v = getJSON(t, p, "/api/v1/ledger")
	if l := v.(map[string]any)["gate"].(map[string]any); l["received"] != 100.0 || l["in_decoder"] != 3.0 {
		t.Errorf("ledger: %v", l)
	}
	if l := v.(map[string]any)["gone"].(map[string]any)["sinks"].(map[string]any)["jsonl"].(map[string]any); l["recovered"] != 9.0 || l["made"] != 9.0 {
		t.Errorf("ledger of a stream that an earlier run had: %v", l)
	}
	_, v = getJSON(t, p, "/api/v1/pipeline")
	if diff := cmp.Diff(map[string]any{"name": "crossing", "site": "hq"}, v); diff != "" {
		t.Errorf("pipeline (-want +got):\n%s", diff)
	}
}

func TestCrossingsAreCountedOnce(t *testing.T) {
	r := newRecent(newFake(t, onLoopback).spec)
	at := time.Unix(1000, 0)
	r.add(crossing("1", "a", "forward", at)) // told by two rules
	r.add(crossing("2", "a", "forward", at))
	r.add(crossing("3", "b", "backward", at))
	r.add(crossing("4", "a", "backward", at.Add(time.Second)))
	if diff := cmp.Diff(map[string]int{"forward": 1, "backward": 2}, r.crossings("gate", "kerb")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.crossings("gate", "fence"); got != nil {
		t.Errorf("a line without a rule counts %v", got)
	}
}

func TestOccupancyIsDerivedOrTold(t *testing.T) {
	r := newRecent(newFake(t, onLoopback).spec)
	two := 2
	for i, step := range []struct {
		ev   *detect.Event
		want int
	}{
		{visit(detect.ZoneEntered, "a", nil), 1},
		{visit(detect.ZoneEntered, "a", nil), 1}, // by another rule
		{visit(detect.ZoneEntered, "b", nil), 2},
		{visit(detect.ZoneExited, "a", nil), 2},
		{visit(detect.ZoneExited, "a", nil), 1},
		{visit(detect.ZoneOccupancy, "", &two), 2}, // knows better
		{visit(detect.ZoneExited, "b", nil), 2},
	} {
		r.add(step.ev)
		if got := r.occupancy("gate", "door"); got == nil || *got != step.want {
			t.Fatalf("step %d: occupancy %v, want %d", i, got, step.want)
		}
	}
	if r.occupancy("gate", "yard") != nil {
		t.Error("a zone without a rule has an occupancy")
	}
}

func TestWrongMethodsAreNamed(t *testing.T) {
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/api/v1/streams", "GET"},
		{"OPTIONS", "/whep/gate", "POST"},
		{"PUT", "/whep/gate/1", "DELETE"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Host = "localhost"
		w := request(t, newFake(t, onLoopback), r)
		if w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), c.allow) {
			t.Errorf("%s %s: status %d, allowed %q; want 405 and %s", c.method, c.path, w.Code, w.Header().Get("Allow"), c.allow)
		}
	}
}
