package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sightline/detect"
	"sightline/internal/testkit"
	registrytest "sightline/internal/testkit/registry"
	"sightline/pipelines/delivery"
	"sightline/pipelines/spec"
	"sightline/sink"
	"sightline/sink/format"
	"sightline/sink/kafka"
	"sightline/sink/kafka/embedded"
	"sightline/sink/sinktest"
)

// kafkaSink makes the sink of a file's line, as a pipeline does.
func kafkaSink(t *testing.T, broker, keys string) sink.Sink {
	t.Helper()
	text := fmt.Sprintf("version: 1\nname: x\nstreams: { gate: { url: rtsp://10.0.0.3/main } }\nsinks: [{ kind: kafka, brokers: [%q], %s }]", broker, keys)
	p, err := spec.Parse("x.yaml", []byte(text), nil, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSink(&p.Sinks[0], []string{broker}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// delivering is a queue to s that runs for as long as the test.
func delivering(t *testing.T, s sink.Sink) *delivery.Queue {
	t.Helper()
	q, err := delivery.New(delivery.Config{Name: "events"}, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); q.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return q
}

func offer(t *testing.T, q *delivery.Queue, ev *detect.Event) {
	t.Helper()
	if err := q.Offer(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
}

func embeddedBroker(t *testing.T) string {
	t.Helper()
	b, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.Addr()
}

// arrived is the first n messages of a topic.
func arrived(t *testing.T, broker, topic string, n int) (out []kafka.Message) {
	t.Helper()
	c := kafka.Defaults()
	c.Brokers, c.Topic = []string{broker}, topic
	enough := errors.New("enough")
	err := kafka.Follow(t.Context(), c, kafka.Span{}, func(m kafka.Message) error {
		if out = append(out, m); len(out) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("%d of %d messages: %v", len(out), n, err)
	}
	return out
}

// TestSchemaRegistryBesideKafka sends events from a file's keys to a topic and has a
// reader that is not ours decode what arrived there.
func TestSchemaRegistryBesideKafka(t *testing.T) {
	api, broker := registrytest.Start(t), embeddedBroker(t)
	folder := t.TempDir()
	for kind, reader := range map[string]func() []string{
		"protobuf": func() []string {
			return []string{"protobuf", filepath.Join(testkit.Root(t), "sink", "format", "events.binpb")}
		},
		"avro": func() []string {
			file := filepath.Join(folder, "online.avsc")
			if err := os.WriteFile(file, format.AvroSchema(detect.StreamOnline), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"avro", file}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			topic := "events-" + kind
			s := kafkaSink(t, broker, fmt.Sprintf("topic: %s, create_topic: {}, format: %s, registry: { url: %q }", topic, kind, api))
			var records []sink.Record
			for n := range 3 {
				ev := sinktest.Record("gate", uint64(n)).Event
				ev.Type = detect.StreamOnline
				records = append(records, sink.Record{Event: ev, Route: s.(sink.Router).Route(ev), Sequence: uint64(n + 1)})
			}
			if err := s.Publish(t.Context(), records); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, m := range arrived(t, broker, topic, len(records)) {
				line := fmt.Sprintf("%x", m.Value)
				if kind == "avro" {
					line = "0 " + line
				}
				lines = append(lines, line)
			}
			for i, got := range readByOthers(t, lines, reader()...) {
				if diff := cmp.Diff(asRead(t, records[i]), got); diff != "" {
					t.Errorf("event %d (-structured +arrived):\n%s", i, diff)
				}
			}
		})
	}
	for _, subject := range []string{"events-avro-sightline.v1.StreamOnline", "events-protobuf-sightline.v1.Event"} {
		if !strings.Contains(" "+strings.Join(registrytest.Subjects(t, api), " ")+" ", " "+subject+" ") {
			t.Errorf("%s is not registered", subject)
		}
	}
}

func readByOthers(t *testing.T, lines []string, args ...string) (out []map[string]any) {
	t.Helper()
	reader := filepath.Join(testkit.Root(t), "sink", "format", "testdata", "reader.py")
	c := exec.Command(testkit.Dep(t, "venv/bin/python"), append([]string{"-B", reader}, args...)...)
	var said bytes.Buffer
	c.Stdin, c.Stderr = strings.NewReader(strings.Join(lines, "\n")), &said
	text, err := c.Output()
	if err != nil {
		t.Fatalf("the reader: %v\n%s", err, said.String())
	}
	for line := range bytes.Lines(text) {
		var event map[string]any
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		out = append(out, event)
	}
	if len(out) != len(lines) {
		t.Fatalf("%d events in %d messages", len(out), len(lines))
	}
	return out
}

// asRead is the event as the reader prints it.
func asRead(t *testing.T, r sink.Record) (out map[string]any) {
	t.Helper()
	text, err := sink.AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	delete(out, "datacontenttype")
	out["sequence"] = float64(r.Sequence)
	return out
}

// TestRegistryAwayHoldsEventsBack: they are tried again, in order, and none is given up.
func TestRegistryAwayHoldsEventsBack(t *testing.T) {
	var up atomic.Bool
	asked := make(chan struct{}, 1)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			select {
			case asked <- struct{}{}:
			default:
			}
			return
		}
		_, _ = w.Write([]byte(`{"id":7}`))
	}))
	t.Cleanup(registry.Close)
	broker := embeddedBroker(t)
	s := kafkaSink(t, broker, fmt.Sprintf("topic: held, create_topic: {}, format: avro, registry: { url: %q }", registry.URL))
	q := delivering(t, s)
	for n := range 3 {
		ev := sinktest.Record("gate", uint64(n)).Event
		ev.Type = detect.StreamOnline
		offer(t, q, ev)
	}
	<-asked
	up.Store(true)
	for i, m := range arrived(t, broker, "held", 3) {
		if !bytes.HasPrefix(m.Value, []byte{0, 0, 0, 0, 7}) || !bytes.Contains(m.Value, []byte(sinktest.Record("gate", uint64(i)).Event.ID)) {
			t.Errorf("message %d is % x", i, m.Value[:60])
		}
	}
}

// TestFormatLeavesOutWhatItCannotSay: it counts as filtered, and leaves no gap.
func TestFormatLeavesOutWhatItCannotSay(t *testing.T) {
	broker := embeddedBroker(t)
	s := kafkaSink(t, broker, "topic: frigate, create_topic: {}, format: frigate")
	q := delivering(t, s)
	for n, typ := range []detect.Type{detect.ObjectStarted, detect.LineCrossed, detect.ObjectEnded} {
		ev := sinktest.Record("gate", uint64(n)).Event
		ev.Type = typ
		offer(t, q, ev)
	}
	for i, m := range arrived(t, broker, "frigate", 2) {
		want := fmt.Sprintf("%020d", i+1)
		for _, h := range m.Headers {
			if h.Key == "ce_sequence" && string(h.Value) != want {
				t.Errorf("message %d has the number %s", i, h.Value)
			}
		}
		if typ := []string{`{"type":"new"`, `{"type":"end"`}[i]; !strings.HasPrefix(string(m.Value), typ) {
			t.Errorf("message %d is %s", i, m.Value)
		}
	}
	if l := q.Ledger("gate"); l.Made != 3 || l.Filtered != 1 {
		t.Errorf("%+v", l)
	}
}

// TestEveryKindAsksItsFormat: what its format cannot say never reaches a sink.
func TestEveryKindAsksItsFormat(t *testing.T) {
	for _, keys := range []string{
		"kind: kafka, brokers: [\"127.0.0.1:9\"], topic: x", "kind: mqtt, url: \"mqtt://127.0.0.1:9\"",
		"kind: webhook, url: \"http://127.0.0.1:9/\"", "kind: jsonl, path: " + filepath.Join(t.TempDir(), "x.jsonl"),
	} {
		for format, takes := range map[string]bool{"cloudevents": true, "frigate": false} {
			text := fmt.Sprintf("version: 1\nname: x\nstreams: { gate: { url: rtsp://10.0.0.3/main } }\nsinks: [{ %s, format: %s }]", keys, format)
			p, err := spec.Parse("x.yaml", []byte(text), nil, func(string) (string, bool) { return "", false })
			if err != nil {
				t.Fatal(err)
			}
			s, err := newSink(&p.Sinks[0], []string{"127.0.0.1:9"}, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.(sink.Taker).Takes(detect.LineCrossed); got != takes {
				t.Errorf("%s of %s: takes a crossing: %v", p.Sinks[0].Kind, format, got)
			}
			if !s.(sink.Taker).Takes(detect.ObjectEnded) {
				t.Errorf("%s of %s does not take the end of an object", p.Sinks[0].Kind, format)
			}
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}
