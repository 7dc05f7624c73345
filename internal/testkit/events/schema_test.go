package events

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"sightline/detect"
	"sightline/internal/testkit"
)

var update = flag.Bool("update", false, "write configs/events.schema.json anew")

// TestSchemaIsFresh compares the schema that ships with the one the types give.
func TestSchemaIsFresh(t *testing.T) {
	path := filepath.Join(testkit.Root(t), "configs", "events.schema.json")
	fresh, err := json.MarshalIndent(eventSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	fresh = append(fresh, '\n')
	if *update {
		if err := os.WriteFile(path, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(shipped), string(fresh)); diff != "" {
		t.Errorf("configs/events.schema.json is stale; run `go test ./internal/testkit/events -update`:\n%s", diff)
	}
}

// envelope is the attributes of an event, in CloudEvents 1.0 and its extensions.
type envelope struct {
	SpecVersion     string      `json:"specversion" jsonschema:"required,enum=1.0"`
	ID              string      `json:"id" jsonschema:"required,format=uuid" jsonschema_description:"UUIDv5 over source, epoch, type, rule, track and ordinal: a replayed file gives the same ids."`
	Source          string      `json:"source" jsonschema:"required,pattern=^/sightline/[^/]+/[^/]+$" jsonschema_description:"/sightline/SITE/STREAM"`
	Type            string      `json:"type" jsonschema:"required,pattern=^sightline\\.[a-z_]+(\\.[a-z0-9_]+)*$" jsonschema_description:"sightline.TYPE; a breaking change is a new type that ends in .v2."`
	Subject         string      `json:"subject" jsonschema:"required,pattern=^(track|zone|line|stream|sink)/.+$"`
	Time            string      `json:"time" jsonschema:"required" jsonschema_description:"Capture time of the deciding frame, UTC."`
	DataContentType string      `json:"datacontenttype" jsonschema:"required,enum=application/json"`
	DataSchema      string      `json:"dataschema" jsonschema:"required,pattern=^urn:sightline:.+:[0-9]+$"`
	PartitionKey    string      `json:"partitionkey" jsonschema:"required,minLength=1" jsonschema_description:"What order is kept among: SITE/STREAM unless the sink has a key of its own."`
	Sequence        string      `json:"sequence" jsonschema:"required,pattern=^[0-9]{20}$" jsonschema_description:"Gap-free per destination, topic and partition key."`
	SeverityText    string      `json:"severitytext" jsonschema:"enum=INFO,enum=WARN,enum=ERROR"`
	SeverityNumber  int         `json:"severitynumber" jsonschema:"enum=9,enum=13,enum=17"`
	RecordedTime    string      `json:"recordedtime" jsonschema_description:"When the event was made; absent for files at pace fastest."`
	TraceParent     string      `json:"traceparent"`
	DataRef         string      `json:"dataref"`
	Data            detect.Data `json:"data" jsonschema:"required"`
}

// branch is what one type of event needs besides the common members.
type branch struct {
	typ     detect.Type
	data    []string            // members of data
	members map[string][]string // of those, what they must hold
}

// required is, per type, what the contract promises to every consumer.
func required() []branch {
	object := []string{"class", "score", "bbox", "state", "first_seen", "last_seen"}
	visit := func(more ...string) map[string][]string {
		return map[string][]string{"object": object, "zone": append([]string{"visit"}, more...)}
	}
	reason := map[string][]string{"reason": {"code"}}
	return []branch{
		{detect.Detections, []string{"frame", "clock", "objects"}, nil},
		{detect.ObjectStarted, []string{"frame", "clock", "object"}, map[string][]string{"object": object}},
		{detect.ObjectUpdated, []string{"frame", "clock", "object"}, map[string][]string{"object": object}},
		{detect.ObjectEnded, []string{"object", "reason"}, map[string][]string{"object": object}},
		{detect.LineCrossed, []string{"frame", "clock", "object", "rule", "line"},
			map[string][]string{"object": object, "line": {"direction", "crossed_at", "point"}}},
		{detect.ZoneEntered, []string{"frame", "clock", "object", "rule", "zone"}, visit()},
		{detect.ZoneExited, []string{"object", "rule", "zone"}, visit()},
		{detect.ZoneDwell, []string{"object", "rule", "zone"}, visit("dwell_s")},
		{detect.ZoneOccupancy, []string{"rule", "zone"}, map[string][]string{"zone": {"occupancy"}}},
		{detect.CountReported, []string{"rule", "line", "window", "counts"}, nil},
		{detect.StreamOnline, nil, nil},
		{detect.StreamOffline, []string{"reason"}, reason},
		{detect.StreamDegraded, []string{"reason"}, reason},
		{detect.SinkDegraded, []string{"reason"}, reason},
		{detect.Accounting, []string{"received", "decoded", "undecoded", "in_decoder", "inferred", "skipped", "in_flight", "sinks"}, nil},
	}
}

func eventSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{Anonymous: true, AllowAdditionalProperties: true, ExpandedStruct: true, Mapper: mapped}
	if err := r.AddGoComments("sightline/detect", filepath.Join(testkit.Root(t), "detect")); err != nil {
		t.Fatal(err)
	}
	for k, v := range r.CommentMap { // comments are keyed by folder, types by package
		r.CommentMap["sightline/"+filepath.Base(k)] = v
	}
	r.RequiredFromJSONSchemaTags = true
	s := r.Reflect(&envelope{})
	r.RequiredFromJSONSchemaTags = false
	s.Definitions = r.Reflect(&detect.Data{}).Definitions
	s.Definitions["Data"] = inline(r.Reflect(&detect.Data{}))
	ledger := r.Reflect(&detect.Ledger{})
	s.Definitions["SinkLedger"] = ledger.Definitions["SinkLedger"]
	data := s.Definitions["Data"].Properties
	for p := ledger.Properties.Oldest(); p != nil; p = p.Next() {
		data.Set(p.Key, p.Value)
	}
	s.Definitions["ReasonInfo"] = inline(r.Reflect(&detect.ReasonInfo{}))
	data.Set("reason", &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Description: "object.ended: left, lost, stream_ended, shutdown, restart; more may come"},
		{Ref: "#/$defs/ReasonInfo"}}})
	s.Definitions["Time"] = timeSchema()
	for _, name := range []string{"time", "recordedtime"} {
		p, _ := s.Properties.Get(name)
		p.Pattern, p.Format = timeSchema().Pattern, timeSchema().Format
	}
	s.Title = "Sightline event: a CloudEvent 1.0 in structured mode"
	for _, b := range required() {
		s.AllOf = append(s.AllOf, b.schema())
	}
	return s
}

// inline strips what only a whole document has.
func inline(s *jsonschema.Schema) *jsonschema.Schema {
	s.Version, s.Definitions = "", nil
	return s
}

func timeSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Format: "date-time", Pattern: `^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$`}
}

func mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[detect.Point]():
		two := uint64(2)
		return &jsonschema.Schema{Type: "array", MinItems: &two, MaxItems: &two, Items: &jsonschema.Schema{Type: "number"}}
	case reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Ref: "#/$defs/Time"}
	}
	return nil
}

// schema says: if it is this type, data has these members.
func (b branch) schema() *jsonschema.Schema {
	is := jsonschema.NewProperties()
	is.Set("type", &jsonschema.Schema{Const: "sightline." + string(b.typ)})
	members := jsonschema.NewProperties()
	for _, name := range b.data {
		if needs := b.members[name]; needs != nil {
			members.Set(name, &jsonschema.Schema{Type: "object", Required: needs})
		}
		if name == "reason" && b.members[name] == nil {
			members.Set(name, &jsonschema.Schema{Type: "string"})
		}
	}
	then := jsonschema.NewProperties()
	then.Set("dataschema", &jsonschema.Schema{Const: "urn:sightline:" + string(b.typ) + ":1"})
	then.Set("data", &jsonschema.Schema{Required: append([]string{"stream"}, b.data...), Properties: members})
	return &jsonschema.Schema{If: &jsonschema.Schema{Properties: is, Required: []string{"type"}}, Then: &jsonschema.Schema{Properties: then}}
}
