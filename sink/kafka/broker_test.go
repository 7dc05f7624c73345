package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	kafkatest "sightline/internal/testkit/kafka"
	"sightline/sink"
	"sightline/sink/sinktest"
)

// What only Apache's own broker can tell. One broker serves all subtests.
func TestApacheKafka(t *testing.T) {
	t.Parallel()
	// Who comes without a login may do everything; topics without a rule are anybody's.
	b := kafkatest.Start(t, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS", "allow.everyone.if.no.acl.found=true")
	t.Run("Contract", func(t *testing.T) { apacheContract(t, b) })
	t.Run("ModesAndCompressions", func(t *testing.T) {
		roundTrips(t, b.Addr, func(t *testing.T, topic string) { makeTopic(t, b, topic, 1) })
	})
	t.Run("SASL", func(t *testing.T) { apacheSASL(t, b) })
	t.Run("MutualTLS", func(t *testing.T) { apacheMutualTLS(t, b) })
	t.Run("Token", func(t *testing.T) { apacheToken(t, b) })
	t.Run("Rotation", func(t *testing.T) { apacheRotation(t, b) })
	t.Run("Permissions", func(t *testing.T) { apachePermissions(t, b) })
	t.Run("Quota", func(t *testing.T) { apacheQuota(t, b) })
	t.Run("Topics", func(t *testing.T) { apacheTopics(t, b) })
	t.Run("Refusals", func(t *testing.T) { apacheRefusals(t, b) })
	t.Run("FrozenBroker", func(t *testing.T) { apacheFrozen(t, b) })
	t.Run("Kill9", func(t *testing.T) { apacheKill9(t, b) })
}

func apacheContract(t *testing.T, b *kafkatest.Broker) {
	n := 0
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		n++
		cfg := config(b.Addr)
		cfg.Topic, cfg.WriteTimeout = fmt.Sprint("contract-", n), time.Second
		makeTopic(t, b, cfg.Topic, 3)
		return sinktest.Destination{
			Open: func(t *testing.T) sink.Sink { return newSink(t, cfg) },
			Read: func(t *testing.T, want int) []sinktest.Arrival { return arrivals(t, read(t, cfg, want)) },
			Break: func(t *testing.T) (mend func()) {
				b.Pause()
				t.Cleanup(b.Resume) // also when the test fails before it mends
				return func() {
					b.Resume()
					awaitLeaders(t, b, cfg.Topic, 3)
				}
			},
		}
	})
}

// makeTopic makes a topic and waits until the broker leads its partitions.
func makeTopic(t *testing.T, b *kafkatest.Broker, name string, partitions int, entries ...string) {
	t.Helper()
	b.CreateTopic(name, partitions, entries...)
	awaitLeaders(t, b, name, partitions)
}

// awaitLeaders waits until the broker leads the topic's partitions: it does not for a
// while after a pause in which its own controller gave it up.
func awaitLeaders(t *testing.T, b *kafkatest.Broker, name string, partitions int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for p := 0; p < partitions; {
		conn, err := kafkago.DialLeader(ctx, "tcp", b.Addr, name, p)
		if err == nil {
			_, err = conn.ReadFirstOffset()
			conn.Close()
		}
		if err == nil {
			p++
			continue
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("topic %s, partition %d: %v", name, p, err)
		}
	}
}

func apacheSASL(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "sasl", 1)
	records := sinktest.Records([]string{"a"}, 1, 2)
	for _, mechanism := range passwordMechanisms {
		t.Run(mechanism, func(t *testing.T) {
			cfg := config(b.SASLAddr)
			cfg.Topic, cfg.TLS = "sasl", &TLS{CA: b.CAFile}
			cfg.SASL = &SASL{Mechanism: mechanism, Username: b.User, Password: always(b.Password)}
			if err := newSink(t, cfg).Publish(t.Context(), records); err != nil {
				t.Fatal(err)
			}
			if got := read(t, cfg, len(records)); len(got) < len(records) {
				t.Errorf("%d messages there", len(got))
			}
			cfg.SASL = &SASL{Mechanism: mechanism, Username: b.User, Password: always("wrong secret")}
			err := newSink(t, cfg).Publish(t.Context(), records)
			checkRefusedPassword(t, err, `broker refused the password of user "`+b.User+`" (SASL `+mechanism+`)`)
		})
	}
	t.Run("no login", func(t *testing.T) {
		cfg := config(b.SASLAddr)
		cfg.Topic, cfg.TLS = "sasl", &TLS{CA: b.CAFile}
		err := newSink(t, cfg).Publish(t.Context(), records)
		if err == nil || !strings.Contains(err.Error(), "SASL") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("login where none is wanted", func(t *testing.T) {
		cfg := config(b.Addr)
		cfg.Topic, cfg.SASL = "sasl", &SASL{Mechanism: "PLAIN", Username: b.User, Password: always(b.Password)}
		err := newSink(t, cfg).Publish(t.Context(), records)
		if err == nil || !strings.Contains(err.Error(), "expects no SASL") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("TLS to plain text", func(t *testing.T) {
		cfg := config(b.Addr)
		cfg.Topic, cfg.TLS = "sasl", &TLS{CA: b.CAFile}
		err := newSink(t, cfg).Publish(t.Context(), records)
		if err == nil || !strings.Contains(err.Error(), "the broker does not answer as TLS does") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("plain text to TLS", func(t *testing.T) {
		cfg := config(b.SSLAddr)
		cfg.Topic = "sasl"
		err := newSink(t, cfg).Publish(t.Context(), records)
		if err == nil || !strings.Contains(err.Error(), "may expect TLS") {
			t.Errorf("got %v", err)
		}
	})
}

func apacheRefusals(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "narrow", 1, "max.message.bytes=20000", "message.timestamp.before.max.ms=3600000")
	cfg := config(b.Addr)
	cfg.Topic = "narrow"
	records := sinktest.Records([]string{"a"}, 1, 80) // together more than 20,000 bytes
	records[4].Event.Data.Stream.Title = strings.Repeat("x", 30_000)
	checkRefused(t, newSink(t, cfg).Publish(t.Context(), records), 4, "max.message.bytes")

	cfg.Timestamp = EventTime
	records = sinktest.Records([]string{"a"}, 101, 4)
	for i := range records {
		records[i].Event.Time = time.Now()
	}
	records[1].Event.Time = time.Now().Add(-48 * time.Hour)
	checkRefused(t, newSink(t, cfg).Publish(t.Context(), records), 1, "timestamp")
	if got := arrivals(t, read(t, cfg, 82)); len(got) != 82 {
		t.Errorf("%d of 82 good events arrived", len(got))
	}

	cfg.Topic = "nobody.made.this"
	err := newSink(t, cfg).Publish(t.Context(), records)
	if err == nil || !strings.Contains(err.Error(), "--create --topic nobody.made.this") {
		t.Errorf("missing topic: got %v", err)
	}
}

func checkRefused(t *testing.T, err error, index int, why string) {
	t.Helper()
	var partial *sink.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 0 || !slices.Equal(partial.Refused, []int{index}) {
		t.Fatalf("got %v, want event %d refused and no other", err, index)
	}
	if !strings.Contains(err.Error(), why) {
		t.Errorf("error does not mention %s: %v", why, err)
	}
}

// A broker that hangs keeps connections open and answers nothing.
func apacheFrozen(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "frozen", 1)
	cfg := config(b.Addr)
	cfg.Topic, cfg.WriteTimeout = "frozen", time.Second
	s := newSink(t, cfg)
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	b.Pause()
	start := time.Now()
	err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 1))
	took := time.Since(start)
	b.Resume()
	awaitLeaders(t, b, cfg.Topic, 1)
	if err == nil || !strings.Contains(err.Error(), "no answer within the write timeout of 1s") || took > 3*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if _, err := deliver(t.Context(), s, sinktest.Records([]string{"a"}, 2, 1)); err != nil {
		t.Fatal(err)
	}
	if got, err := firstArrivals(t.Context(), cfg, 2); err != nil || !slices.Equal(got["test/a"], ids("a", 2)) {
		t.Errorf("arrived: %v, %v", got, err)
	}
}

// The broker is killed twice while events flow. Nothing is lost, and events of a key
// first arrive in their order, also for a consumer that was there all along; some
// may arrive twice.
func apacheKill9(t *testing.T, b *kafkatest.Broker) {
	makeTopic(t, b, "killed", 3)
	cfg := config(b.Addr)
	cfg.Topic, cfg.WriteTimeout = "killed", 3*time.Second
	s := newSink(t, cfg)
	keys := []string{"a", "b", "c", "d", "e"}
	const perKey, perBatch, batches = 2000, 5, 400
	var got map[string][]string
	var failures int
	accepted, done, read := make(chan int, batches), make(chan error, 1), make(chan error, 1)
	go func() {
		var err error
		got, err = firstArrivals(t.Context(), cfg, perKey*len(keys))
		read <- err
	}()
	go func() {
		defer close(accepted)
		for i := range batches {
			failed, err := deliver(t.Context(), s, sinktest.Records(keys, uint64(1+i*perBatch), perBatch))
			if failures += failed; err != nil {
				done <- err
				return
			}
			accepted <- i
		}
		done <- nil
	}()
	for i := range accepted {
		if i == 50 || i == 200 {
			b.Kill9()
			b.Restart()
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if failures == 0 {
		t.Error("nothing failed: the broker was not killed while events flowed")
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !slices.Equal(got["test/"+key], ids(key, perKey)) {
			t.Errorf("key %s: %d of %d events arrived, or in another order", key, len(got["test/"+key]), perKey)
		}
	}
}

func ids(key string, n int) (out []string) {
	for _, r := range sinktest.Records([]string{key}, 1, n) {
		out = append(out, r.Event.ID)
	}
	return out
}

// deliver publishes the batch until all of it is accepted, for a minute at most, and
// returns how many attempts failed.
func deliver(ctx context.Context, s *Sink, batch []sink.Record) (failed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for err = s.Publish(ctx, batch); err != nil && ctx.Err() == nil; err = s.Publish(ctx, batch) {
		failed++
		var partial *sink.PartialError
		if errors.As(err, &partial) {
			var again []sink.Record
			for _, i := range partial.Failed {
				again = append(again, batch[i])
			}
			batch = again
		}
		<-pause.C
	}
	return failed, err
}

// firstArrivals reads the topic up to want different events, for a minute and a half
// at most, and returns each key's ids in the order of their first arrival.
func firstArrivals(ctx context.Context, cfg Config, want int) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	seen := map[string]bool{}
	out := map[string][]string{}
	err := Tail(ctx, cfg, time.Time{}, func(m Message) error {
		if id := header(m, "ce_id"); !seen[id] {
			seen[id] = true
			out[string(m.Key)] = append(out[string(m.Key)], id)
		}
		if len(seen) >= want {
			cancel()
		}
		return nil
	})
	return out, err
}
