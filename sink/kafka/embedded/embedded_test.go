package embedded

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sightline/sink"
	"sightline/sink/kafka"
	"sightline/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsGoInAndComeOut(t *testing.T) {
	b, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic = []string{b.Addr()}, "events" // made by asking for it
	s, err := kafka.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())

	sent := sinktest.Records([]string{"gate", "lobby"}, 1, 20)
	if err := s.Publish(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := map[string][]byte{}
	err = kafka.Tail(ctx, cfg, time.Time{}, func(m kafka.Message) error {
		got[string(m.Value)] = m.Key
		if len(got) == len(sent) {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range sent {
		value, err := sink.AppendStructured(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if key := got[string(value)]; !bytes.Equal(key, []byte(r.Event.PartitionKey())) {
			t.Errorf("event %s came back with key %q", r.Event.ID, key)
		}
	}
}

// Old messages make room: what a topic keeps in memory is bounded.
func TestOldMessagesMakeRoom(t *testing.T) {
	b, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic = []string{b.Addr()}, "events"
	s, err := kafka.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	title := string(bytes.Repeat([]byte("x"), 500_000))
	for i := range 100 { // 50 MB, all of one partition
		r := sinktest.Record("gate", uint64(i))
		r.Event.Data.Stream.Title = title
		if err := s.Publish(t.Context(), []sink.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	b.cluster.ApplyRetention() // what sweep does
	var kept int64
	for _, p := range b.cluster.PartitionInfos("events") {
		kept += p.HighWatermark - p.LogStartOffset
	}
	if most := int64((32 + 4 + 1) << 20 / len(title)); kept > most || kept < most/2 {
		t.Errorf("%d of 100 messages kept, want at most %d and not much less", kept, most)
	}
}

func TestCloseMayBeRepeated(t *testing.T) {
	b, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Topics of a template come to be when events for them do.
func TestTopicsByTemplate(t *testing.T) {
	b, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic, cfg.PartitionBy = []string{b.Addr()}, "sightline.{site}.{stream}", "site"
	s, err := kafka.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	want := map[string]int{"sightline.test.gate": 20, "sightline.test.lobby": 20}
	records := sinktest.Records([]string{"gate", "lobby"}, 1, 20)
	for i := range records {
		records[i].Route = s.Route(records[i].Event)
	}
	if err := s.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	err = kafka.Follow(t.Context(), cfg, kafka.Span{UntilEnd: true}, func(m kafka.Message) error {
		got[m.Topic]++
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}
