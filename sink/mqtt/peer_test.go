package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"sightline/internal/testkit/mosquitto"
	"sightline/sink/sinktest"
)

// read returns the events that have arrived once they are want different ones.
func read(t *testing.T, s *mosquitto.Subscriber, want int) []sinktest.Arrival {
	t.Helper()
	var out []sinktest.Arrival
	s.Wait(func(all []mosquitto.Message) bool {
		seen := map[string]bool{}
		out = out[:0]
		for _, m := range all {
			var ev struct{ ID, PartitionKey, Sequence string }
			if err := json.Unmarshal([]byte(m.Payload), &ev); err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseUint(ev.Sequence, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			seen[ev.ID] = true
			out = append(out, sinktest.Arrival{Key: ev.PartitionKey, Sequence: n, ID: ev.ID, Body: m.Payload})
		}
		return len(seen) >= want
	})
	return out
}

func config(b *mosquitto.Broker, version int) Config {
	cfg := Defaults()
	cfg.URL, cfg.Version, cfg.Timeout = "mqtt://"+b.Addr, version, 2*time.Second
	return cfg
}

func newSink(t *testing.T, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func versions(t *testing.T, test func(t *testing.T, version int)) {
	for _, v := range []int{V3, V5} {
		t.Run(fmt.Sprint("version ", v), func(t *testing.T) { test(t, v) })
	}
}
