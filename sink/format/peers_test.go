package format

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/internal/testkit"
	registrytest "sightline/internal/testkit/registry"
	"sightline/sink"
)

// others is a Python with what reads Avro and Protobuf and is not ours.
func others(t *testing.T) string {
	t.Helper()
	testkit.Dep(t, "venv/.tests")
	return testkit.Dep(t, "venv/bin/python")
}

// read gives messages to the reader, which is not ours, and returns the events that
// it found in them.
func read(t *testing.T, messages []string, args ...string) []map[string]any {
	t.Helper()
	c := exec.Command(others(t), append([]string{"-B", "testdata/reader.py"}, args...)...)
	c.Stdin = strings.NewReader(strings.Join(messages, "\n"))
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("the reader: %v\n%s", err, said.String())
	}
	var events []map[string]any
	for line := range bytes.Lines(out) {
		event, err := decode(line)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	if len(events) != len(messages) {
		t.Fatalf("the reader found %d events in %d messages", len(events), len(messages))
	}
	return events
}

// same holds what was read to the structured event; empty tells that empty lists
// and maps are kept.
func same(t *testing.T, r sink.Record, got map[string]any, empty bool) {
	t.Helper()
	want, err := tree(r)
	if err != nil {
		t.Fatal(err)
	}
	if digits, ok := want["sequence"].(string); ok {
		want["sequence"] = json.Number(strings.TrimLeft(digits, "0"))
	}
	if diff := cmp.Diff(comparable(want, empty), comparable(got, empty)); diff != "" {
		t.Errorf("%s (-structured +read):\n%s", r.Event.Type, diff)
	}
}

// comparable makes numbers float64 and leaves out what is empty unless it is kept.
func comparable(v any, empty bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			switch x := comparable(x, empty).(type) {
			case []any:
				if len(x) > 0 || empty {
					out[k] = x
				}
			case map[string]any:
				if len(x) > 0 || empty {
					out[k] = x
				}
			default:
				out[k] = x
			}
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, comparable(x, empty))
		}
		return out
	case json.Number:
		x, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return x
	}
	return v
}

// all is every sample, one without a frame's objects, and the barest event.
func all() []sink.Record {
	out := append(samples(), barest())
	nothing := *out[0].Event
	nothing.Data.Objects = &[]detect.Box{}
	return append(out, sink.Record{Event: &nothing, Route: out[0].Route, Sequence: 99})
}

// TestRegistryAndReaders is the whole way with parts that are not ours: a real
// registry takes the schemas, and other libraries read what was written by them.
func TestRegistryAndReaders(t *testing.T) {
	api := registrytest.Start(t)
	t.Run("avro", func(t *testing.T) { avroPeers(t, api) })
	t.Run("protobuf", func(t *testing.T) { protobufPeers(t, api) })
	t.Run("refusal", func(t *testing.T) { refusal(t, api) })
}

func avroPeers(t *testing.T, api string) {
	f, folder := avroTo(t, api), t.TempDir()
	args := []string{"avro"}
	for _, typ := range EventTypes() {
		file := filepath.Join(folder, string(typ)+".avsc")
		if err := os.WriteFile(file, AvroSchema(typ), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	var messages []string
	for _, r := range all() {
		r.Topic = "hq"
		b, err := f.Append(t.Context(), nil, r)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, fmt.Sprintf("%d %x", slices.Index(EventTypes(), r.Event.Type), b))
	}
	for i, got := range read(t, messages, args...) {
		same(t, all()[i], got, true)
	}
	subjects := registrytest.Subjects(t, api)
	for _, typ := range EventTypes() {
		subject := "hq-sightline.v1." + recordName(typ)
		if !slices.Contains(subjects, subject) {
			t.Errorf("%s is not registered among %v", subject, subjects)
		}
		n := describe(typ)
		n.members = append(n.members, member{"extra", &node{kind: text}, true})
		if ok, why := registrytest.Compatible(t, api, subject, "AVRO", string(avroSchema(n))); !ok {
			t.Errorf("%s with one optional member more: %s", subject, why)
		}
		n.members[len(n.members)-1].optional = false
		if ok, _ := registrytest.Compatible(t, api, subject, "AVRO", string(avroSchema(n))); ok {
			t.Errorf("%s may get a member that was never written: the check checks nothing", subject)
		}
	}
}

func protobufPeers(t *testing.T, api string) {
	f := protobufTo(t, api)
	var messages []string
	for _, r := range all() {
		r.Topic = "hq"
		b, err := f.Append(t.Context(), nil, r)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, hex.EncodeToString(b))
	}
	for i, got := range read(t, messages, "protobuf", "events.binpb") {
		if data := got["data"].(map[string]any); data["end_reason"] != nil {
			data["reason"] = data["end_reason"]
			delete(data, "end_reason")
		}
		same(t, all()[i], got, false)
	}
	const subject, head = "hq-sightline.v1.Event", "message Event {\n"
	more := strings.Replace(ProtobufSchema(), head, head+"  optional string extra = 15;\n", 1)
	if ok, why := registrytest.Compatible(t, api, subject, "PROTOBUF", more); !ok {
		t.Errorf("%s with one field more: %s", subject, why)
	}
	changed := strings.Replace(ProtobufSchema(), "optional string type = 4;", "optional int64 type = 4;", 1)
	if ok, _ := registrytest.Compatible(t, api, subject, "PROTOBUF", changed); ok {
		t.Errorf("a field of %s may change its type: the check checks nothing", subject)
	}
}

// refusal asks a real registry for what it must refuse: two schemas as one subject.
func refusal(t *testing.T, api string) {
	f, err := New(Config{Kind: Avro, Registry: Registry{URL: api, Subject: TopicName}})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, r := range samples()[:2] {
		r.Topic = "mixed"
		_, last = f.Append(t.Context(), nil, r)
	}
	if last == nil || !Temporary(last) || !strings.Contains(last.Error(), "subject mixed-value: refused as incompatible") || !strings.Contains(last.Error(), "Incompatible artifact") {
		t.Errorf("got %v", last)
	}
}
