package spec

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const avroSink = `version: 1
name: crossing
streams:
  gate: { url: rtsp://10.0.0.3/main }
sinks:
  - kind: kafka
    brokers: ["localhost:9092"]
    topic: sightline.{type}
    format: avro
    registry: { url: "https://registry:8081", username: viewer, password: hunter2, ca: ca.pem, subject: topic_name, register: false }
  - { kind: kafka, name: second, brokers: ["localhost:9092"], topic: events, format: protobuf, registry: { url: "http://localhost:8081" } }
  - { kind: kafka, name: third, brokers: ["localhost:9092"], topic: frames, format: dlstreamer, types: [sightline.detections] }
`

func TestRegistryKeys(t *testing.T) {
	p, err := Parse("p.yaml", []byte(avroSink), nil, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	r := p.Sinks[0].Kafka.Registry
	if r.URL != "https://registry:8081" || r.Username != "viewer" || r.Password.Reveal() != "hunter2" || r.Subject != "topic_name" || r.Register || !strings.HasSuffix(r.CA, "ca.pem") {
		t.Errorf("%+v", r)
	}
	if r := p.Sinks[1].Kafka.Registry; !r.Register || r.Subject != "topic_record_name" || !r.Password.IsZero() {
		t.Errorf("defaults are %+v", r)
	}
	var rendered strings.Builder
	if err := p.Render(&rendered); err != nil || strings.Contains(rendered.String(), "hunter2") || !strings.Contains(rendered.String(), "register: false") {
		t.Errorf("rendered (%v):\n%s", err, rendered.String())
	}
	asJSON, err := yaml.YAMLToJSON([]byte(avroSink))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiledSchema(t).Validate(value); err != nil {
		t.Errorf("the JSON Schema refuses it: %v", err)
	}
}
