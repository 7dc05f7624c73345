package delivery

import (
	"context"
	"log/slog"
	"testing"
	"time"

	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink/kafka"
)

// The broker dies without warning while events are offered, and comes back: all of
// them arrive, in order, and the account agrees with the topic.
func TestSurvivesAKilledBroker(t *testing.T) {
	b := kafkatest.Start(t)
	b.CreateTopic("events", 3)
	cfg := kafka.Defaults()
	cfg.Brokers, cfg.Topic, cfg.WriteTimeout = []string{b.Addr}, "events", 3*time.Second
	s, err := kafka.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())

	turns := make(chan State, 100)
	q := newQueue(t, Config{Backoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		OnState: func(s State) { turns <- s }}, s)
	stop := running(t, q)
	const n = 3000
	streams := []string{"a", "b", "c", "d"}
	for i := range n {
		for _, stream := range streams {
			offer(t, q, event(stream, i+1))
		}
		if i == n/2 {
			b.Kill9()
		}
	}
	for state := range turns {
		if state.Degraded && state.Err != nil && state.Events > 0 {
			break
		}
	}
	b.Restart()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := q.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	arrived := map[string]int{} // of each stream, without repeats and in order
	total := 0
	err = kafka.Tail(ctx, cfg, time.Time{}, func(m kafka.Message) error {
		id, next := "", string(m.Key)
		for _, h := range m.Headers {
			if h.Key == "ce_id" {
				id = string(h.Value)
			}
		}
		if want := event(next[len("test/"):], arrived[next]+1).ID; id == want {
			arrived[next]++
			total++
		}
		if total == n*len(streams) {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range streams {
		if l := balanced(t, q, stream); l.Acknowledged != n || arrived["test/"+stream] != n {
			t.Errorf("stream %s: %d of %d arrived in order, account %+v", stream, arrived["test/"+stream], n, l)
		}
	}
}
