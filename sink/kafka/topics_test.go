package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sightline/detect"
	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink"
	"sightline/sink/format"
	"sightline/sink/sinktest"
)

func TestRoute(t *testing.T) {
	crossing := &detect.Event{
		Site: "hq", Stream: "gate", Type: detect.LineCrossed,
		Data: detect.Data{Object: &detect.Object{Class: "traffic light", TrackID: "17-1"}, Line: &detect.LineInfo{Name: "kerb"}},
	}
	online := &detect.Event{Site: "hq", Stream: "gate", Type: detect.StreamOnline}
	long := &detect.Event{Site: strings.Repeat("s", 200), Stream: strings.Repeat("t", 100)}
	for _, c := range []struct {
		topic, key, by string
		ev             *detect.Event
		want           sink.Route
	}{
		{"events", "", "", crossing, sink.Route{Topic: "events"}},
		{"sightline.{site}.{type}", "", "", crossing, sink.Route{Topic: "sightline.hq.line.crossed"}},
		{"{class}", "", "stream", crossing, sink.Route{Topic: "traffic_light"}},
		{"e", "", "track", crossing, sink.Route{Topic: "e", Key: "hq/gate/17-1"}},
		{"e", "", "track", online, sink.Route{Topic: "e", Key: "hq/gate/none"}},
		{"e", "", "zone", crossing, sink.Route{Topic: "e", Key: "hq/gate/none"}},
		{"e", "", "site", crossing, sink.Route{Topic: "e", Key: "hq"}},
		{"e", "{site}/{stream}", "", crossing, sink.Route{Topic: "e"}},
		{"e", "{line}: {class}", "", crossing, sink.Route{Topic: "e", Key: "kerb: traffic light"}},
		{"{site}.{stream}", "", "", long, sink.Route{Topic: strings.Repeat("s", 200) + "." + strings.Repeat("t", 39) + "-b03932c9"}},
	} {
		cfg := config("127.0.0.1:1")
		cfg.Topic, cfg.Key, cfg.PartitionBy = c.topic, c.key, c.by
		if got := newSink(t, cfg).Route(c.ev); got != c.want || len(got.Topic) > maxTopic {
			t.Errorf("topic %q, key %q, partition_by %q: got %+v, want %+v", c.topic, c.key, c.by, got, c.want)
		}
	}
}

// routed addresses records as a queue does before it numbers them.
func routed(s *Sink, records []sink.Record) []sink.Record {
	for i := range records {
		records[i].Route = s.Route(records[i].Event)
	}
	return records
}

func TestEveryTopicGetsItsOwnEvents(t *testing.T) {
	t.Parallel()
	c := fake(t, kfake.SeedTopics(2, "sightline.a", "sightline.b"))
	everyTopic(t, config(c.ListenAddrs()...))
}

// everyTopic sends to two topics that are there and one that is not: its events fail
// alone, and arrive once somebody has made it.
func everyTopic(t *testing.T, cfg Config) {
	cfg.Topic, cfg.Key = "sightline.{stream}", "{site}"
	s := newSink(t, cfg)
	records := routed(s, sinktest.Records([]string{"a", "b", "c"}, 1, 5))
	err := s.Publish(t.Context(), records)
	var partial *sink.PartialError
	var want []int
	for i, r := range records {
		if r.Event.Stream == "c" {
			want = append(want, i)
		}
	}
	if !errors.As(err, &partial) || len(partial.Refused) > 0 || !slices.Equal(partial.Failed, want) {
		t.Fatalf("got %v, want those of sightline.c to fail: %v", err, want)
	}
	if hint := "--create --topic sightline.c"; !strings.Contains(err.Error(), hint) {
		t.Errorf("no hint %s: %v", hint, err)
	}
	var missing []sink.Record
	for _, i := range partial.Failed {
		missing = append(missing, records[i])
	}
	cfg.Create = &Create{Partitions: 4}
	var log bytes.Buffer
	s = newLoggedSink(t, cfg, &log)
	if _, err := deliver(t.Context(), s, missing); err != nil { // a broker may lead it a moment later
		t.Fatal(err)
	}
	if s.partitions["sightline.c"] != 4 || !strings.Contains(log.String(), `msg="kafka topic made" topic=sightline.c partitions=4`) {
		t.Errorf("%d partitions, log: %s", s.partitions["sightline.c"], log.String())
	}
	byTopic := map[string][]string{}
	for _, m := range read(t, cfg, len(records)) { // of the pattern sightline.*
		byTopic[m.Topic] = append(byTopic[m.Topic], header(m, "ce_id"))
		if key := string(m.Key); key != "test" || header(m, "ce_partitionkey") != key {
			t.Errorf("key %q, partitionkey %q", key, header(m, "ce_partitionkey"))
		}
	}
	for _, stream := range []string{"a", "b", "c"} {
		if got := byTopic["sightline."+stream]; !slices.Equal(got, ids(stream, 5)) {
			t.Errorf("topic of %s: %v", stream, got)
		}
	}
}

// A cluster that makes no topics now, without saying why, takes the events of those
// that are there.
func TestTopicThatCannotBeMadeHoldsUpNoOther(t *testing.T) {
	c := fake(t, kfake.SeedTopics(2, "sightline.a"))
	c.ControlKey(kmsg.CreateTopics.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("no controller"), true
	})
	cfg := config(c.ListenAddrs()...)
	cfg.Topic, cfg.Create = "sightline.{stream}", &Create{}
	s := newSink(t, cfg)
	records := routed(s, append(sinktest.Records([]string{"a"}, 1, 2), sinktest.Records([]string{"c"}, 1, 2)...))
	err := s.Publish(t.Context(), records)
	var partial *sink.PartialError
	if !errors.As(err, &partial) || !slices.Equal(partial.Failed, []int{2, 3}) || len(partial.Refused) > 0 {
		t.Fatalf("got %v, want those of sightline.c to fail", err)
	}
	if !strings.Contains(err.Error(), "topic sightline.c: the topic could not be made") {
		t.Error(err)
	}
}

func apacheTopics(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "sightline.a", 2)
	makeTopic(t, b, "sightline.b", 2)
	everyTopic(t, config(b.Addr))

	cfg := config(b.Addr)
	cfg.Topic, cfg.Create = "made", &Create{Config: map[string]string{"retention.ms": "60000"}}
	if _, err := deliver(t.Context(), newSink(t, cfg), sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	client := &kafkago.Client{Addr: kafkago.TCP(b.Addr)}
	res, err := client.DescribeConfigs(t.Context(), &kafkago.DescribeConfigsRequest{Resources: []kafkago.DescribeConfigRequestResource{
		{ResourceType: kafkago.ResourceTypeTopic, ResourceName: "made", ConfigNames: []string{"retention.ms"}}}})
	if err != nil || res.Resources[0].ConfigEntries[0].ConfigValue != "60000" {
		t.Errorf("retention of the topic: %+v, %v", res, err)
	}
	cfg.Topic, cfg.Create = "unmakable", &Create{Replication: 3}
	err = newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
	if err == nil || !strings.Contains(err.Error(), "topic unmakable: the topic could not be made as create_topic says") {
		t.Errorf("three replicas on one broker: %v", err)
	}
}

// longPath is an event with a path that makes it large, and a title that does.
func longPath(n uint64, path, title int) sink.Record {
	r := sinktest.Record("a", n)
	r.Event.Data.Object = &detect.Object{TrackID: "1-1", Class: "person"}
	for i := range path {
		r.Event.Data.Object.Path = append(r.Event.Data.Object.Path, [3]float64{float64(i), 0.123456, 0.654321})
	}
	r.Event.Data.Stream.Title = strings.Repeat("x", title)
	return r
}

// What is too large loses its path, and is refused when that does not help: where
// max_message says so, and where the broker does.
func TestTooLargeEventLosesItsPath(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]func(t *testing.T) (Config, string){
		"max_message": func(t *testing.T) (Config, string) {
			cfg := config(fake(t).ListenAddrs()...)
			cfg.MaxMessage = 4500
			return cfg, "larger than max_message of 4500 bytes"
		},
		"broker": func(t *testing.T) (Config, string) {
			return config(fake(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "4500"})).ListenAddrs()...), "max.message.bytes"
		},
	} {
		for _, mode := range []string{Structured, Binary} {
			t.Run(name+" "+mode, func(t *testing.T) {
				cfg, why := setup(t)
				cfg.Mode = mode
				records := []sink.Record{longPath(1, 2, 0), longPath(2, 300, 0), longPath(3, 300, 5000), longPath(4, 2, 0)}
				stored, err := sink.AppendRecord(nil, records[1])
				if err != nil {
					t.Fatal(err)
				}
				if records[1], err = sink.ParseRecord(stored); err != nil { // as a queue gives it back
					t.Fatal(err)
				}
				checkRefused(t, newSink(t, cfg).Publish(t.Context(), records), 2, why)
				got := read(t, cfg, 3)
				if len(got) != 3 {
					t.Fatalf("%d arrived", len(got))
				}
				checkShrunk(t, got, records[1])
			})
		}
	}
}

func checkShrunk(t *testing.T, got []Message, r sink.Record) {
	t.Helper()
	for i, m := range got {
		cut := strings.Contains(string(m.Value), `"truncated":["object.path"]`)
		if cut != (i == 1) || cut == strings.Contains(string(m.Value), `"path":`) {
			t.Errorf("message %d, truncated %t: %.3000s", i, cut, m.Value)
		}
	}
	for _, h := range sink.Attributes(r) {
		if h.Key != "ce_datacontenttype" && header(got[1], h.Key) != string(h.Value) {
			t.Errorf("header %s: %q of the shrunk event, want %q", h.Key, header(got[1], h.Key), h.Value)
		}
	}
	if header(got[1], "ce_sequence") != fmt.Sprintf("%020d", r.Sequence) {
		t.Error("the sequence is another")
	}
}

// A topic that takes small batches is not sent large ones again and again.
func TestBatchesStaySmallForATopicThatWantsThem(t *testing.T) {
	c := fake(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "4000"}))
	s := newSink(t, config(c.ListenAddrs()...))
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 50)); err != nil {
		t.Fatal(err)
	}
	if limit := s.limit(topic); limit > 4000 || limit < minBatch {
		t.Errorf("batches of %d bytes", limit)
	}
	if limit := s.limit("another"); limit != s.cfg.BatchBytes {
		t.Errorf("batches of another topic: %d bytes", limit)
	}
}

// Where nothing is left to send no broker is asked.
func TestNothingLeftToSend(t *testing.T) {
	cfg := config("127.0.0.1:1")
	cfg.MaxMessage = minMessage
	checkRefused(t, newSink(t, cfg).Publish(t.Context(), []sink.Record{longPath(1, 2, 9000)}), 0, "larger than max_message")
}

// A registry that cannot be asked holds back the events of its own kind and what is
// behind them in their key, and no other.
func TestFormatThatFailsForAWhile(t *testing.T) {
	cfg := config(fake(t).ListenAddrs()...)
	away := &format.RegistryError{Subject: "x", Err: errors.New("registry is away")}
	cfg.Format = moody{2: away, 4: format.ErrNoCounterpart}
	s := newSink(t, cfg)
	records := sinktest.Records([]string{"a"}, 1, 3)
	records = append(records, sinktest.Records([]string{"b"}, 4, 2)...)
	err := s.Publish(t.Context(), records)
	var partial *sink.PartialError
	if !errors.As(err, &partial) || !slices.Equal(partial.Failed, []int{1, 2}) || !slices.Equal(partial.Refused, []int{3}) {
		t.Fatalf("got %v, want 1 and 2 to fail and 3 refused", err)
	}
	if !strings.Contains(err.Error(), "registry is away") {
		t.Error(err)
	}
	got := read(t, cfg, 2)
	if len(got) != 2 || string(got[0].Value) != "moody" || header(got[0], "content-type") != "text/moody" {
		t.Errorf("arrived: %v", got)
	}
}

// Where events fail for several reasons each refused one has its own, and what is
// said of the others is what blames none of them.
func TestReasonsAreNotMixedUp(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "sightline.test"))
	verdicts(kerr.NotEnoughReplicas)(c)
	cfg := config(c.ListenAddrs()...)
	cfg.Topic = "sightline.{site}"
	refused := &format.RegistryError{Subject: "x", Refused: true, Err: errors.New("incompatible")}
	cfg.Format = moody{1: refused, 2: format.ErrNoCounterpart}
	records := append(sinktest.Records([]string{"a"}, 1, 1), sinktest.Records([]string{"b"}, 2, 2)...)
	err := newSink(t, cfg).Publish(t.Context(), records)
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !ok || !slices.Equal(partial.Failed, []int{0, 2}) || !slices.Equal(partial.Refused, []int{1}) {
		t.Fatalf("got %v", err)
	}
	if !sink.IsPassing(err) || !is(err, kafkago.NotEnoughReplicas) {
		t.Errorf("the schema that is refused counts against the others: %v", err)
	}
	why, want := partial.WhyRefused(1), "topic sightline.test: event "+records[1].Event.ID+": "+format.ErrNoCounterpart.Error()
	if !errors.Is(why, format.ErrNoCounterpart) || !strings.Contains(why.Error(), want) {
		t.Errorf("event 1 was refused because %v, want %s", why, want)
	}
}

// moody is a format that fails for some sequences.
type moody map[uint64]error

func (f moody) Append(_ context.Context, dst []byte, r sink.Record) ([]byte, error) {
	if err := f[r.Sequence]; err != nil {
		return dst, err
	}
	return append(dst, "moody"...), nil
}

func (moody) ContentType() string    { return "text/moody" }
func (moody) Takes(detect.Type) bool { return true }
