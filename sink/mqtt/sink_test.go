package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sightline/internal/testkit"
	"sightline/internal/testkit/events"
	"sightline/internal/testkit/mosquitto"
	"sightline/sink"
	"sightline/sink/sinktest"
)

func TestContract(t *testing.T) {
	versions(t, func(t *testing.T, version int) {
		sinktest.Run(t, func(t *testing.T) sinktest.Destination {
			b := mosquitto.Start(t)
			sub := b.Subscribe("sightline/#")
			cfg := config(b, version)
			cfg.Timeout = 300 * time.Millisecond
			return sinktest.Destination{
				Open: func(t *testing.T) sink.Sink { return newSink(t, cfg) },
				Read: func(t *testing.T, want int) []sinktest.Arrival { return read(t, sub, want) },
				Break: func(t *testing.T) (mend func()) {
					b.Pause()
					t.Cleanup(func() { b.Resume() })
					return func() { b.Resume() }
				},
			}
		})
	})
}

// What a subscriber that shares no code with us sees of an event.
func TestMessagesAreCloudEvents(t *testing.T) {
	b := mosquitto.Start(t)
	sub := b.Subscribe("#")
	r := sinktest.Record("a", 7)
	structured, err := sink.AppendStructured(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		version     int
		mode        string
		contentType string
	}{{V3, Structured, ""}, {V5, Structured, sink.StructuredType}, {V5, Binary, sink.DataType}} {
		t.Run(fmt.Sprint(c.version, " ", c.mode), func(t *testing.T) {
			cfg := config(b, c.version)
			cfg.Mode, cfg.Topic = c.mode, fmt.Sprintf("%s/%d/{site}/{stream}/{type}/{zone}/{severity}", c.mode, c.version)
			s := newSink(t, cfg)
			r.Route = s.Route(r.Event)
			if err := s.Publish(t.Context(), []sink.Record{r}); err != nil {
				t.Fatal(err)
			}
			topic := fmt.Sprintf("%s/%d/test/a/object.started/none/info", c.mode, c.version)
			if r.Topic != topic {
				t.Errorf("route %s, want %s", r.Topic, topic)
			}
			all := sub.Wait(func(all []mosquitto.Message) bool { return len(all) > 0 && all[len(all)-1].Topic == topic })
			got := all[len(all)-1]
			if got.QoS != 1 || got.Retain != 0 || got.Topic != topic || got.Properties.ContentType != c.contentType {
				t.Errorf("got %+v", got)
			}
			if c.mode == Structured {
				if got.Payload != string(structured) {
					t.Errorf("payload %s\nwant %s", got.Payload, structured)
				}
				events.Validate(t, []byte(got.Payload))
			} else if got.Payload != string(dataOf(t, structured)) {
				t.Errorf("payload %s", got.Payload)
			}
			if c.version == V5 {
				attributesAgree(t, got.Properties.UserProperties, structured)
			}
		})
	}
}

func dataOf(t *testing.T, structured []byte) json.RawMessage {
	t.Helper()
	var whole struct{ Data json.RawMessage }
	if err := json.Unmarshal(structured, &whole); err != nil {
		t.Fatal(err)
	}
	return whole.Data
}

// attributesAgree holds user properties against the JSON's attributes.
func attributesAgree(t *testing.T, got map[string]string, structured []byte) {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal(structured, &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "data")
	delete(want, "datacontenttype")
	if len(got) != len(want) {
		t.Errorf("%d properties, want %d: %v", len(got), len(want), got)
	}
	for name, value := range want {
		if got[name] != fmt.Sprint(value) {
			t.Errorf("property %s is %q, want %v", name, got[name], value)
		}
	}
}

func TestRetainKeepsTheLastOfEachTopic(t *testing.T) {
	b := mosquitto.Start(t)
	versions(t, func(t *testing.T, version int) {
		cfg := config(b, version)
		cfg.Retain, cfg.Topic = true, fmt.Sprintf("kept/%d/{stream}", version)
		if err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a", "b"}, 1, 3)); err != nil {
			t.Fatal(err)
		}
		got := b.Subscribe(fmt.Sprintf("kept/%d/+", version)).Count(2)
		if len(got) != 2 || got[0].Retain != 1 || got[1].Retain != 1 {
			t.Errorf("a late subscriber gets %+v", got)
		}
	})
}

func TestClientCertificate(t *testing.T) {
	ca := testkit.NewAuthority(t)
	ca.Issue(t, "broker")
	ca.Issue(t, "camera")
	b := mosquitto.Start(t, "certfile "+ca.Path("broker.pem"), "keyfile "+ca.Path("broker.key"), "cafile "+ca.Path("ca.pem"), "require_certificate true")
	versions(t, func(t *testing.T, version int) {
		for name, c := range map[string]struct {
			tls  *sink.TLS
			want string
		}{
			"both sides known":      {&sink.TLS{CA: ca.Path("ca.pem"), Cert: ca.Path("camera.pem"), Key: ca.Path("camera.key")}, ""},
			"broker not trusted":    {nil, "certificate signed by unknown authority"},
			"no client certificate": {&sink.TLS{CA: ca.Path("ca.pem")}, "mqtts://"}, // its reason may be lost on the way
			"other server name":     {&sink.TLS{CA: ca.Path("ca.pem"), ServerName: "elsewhere"}, "elsewhere"},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := config(b, version)
				cfg.URL, cfg.TLS = "mqtts://"+b.Addr, c.tls
				err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 3))
				checkError(t, err, c.want)
			})
		}
		cfg := config(b, version)
		checkError(t, newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 3)), "may expect mqtts://")
	})
}

// checkError wants an error that says want, or none where want is empty.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// A password that is changed is asked for at the next connection.
func TestPasswordRotation(t *testing.T) {
	home := t.TempDir()
	passwords := home + "/passwords"
	b := mosquitto.Start(t) // for its programs alone
	if out, err := b.Program("mosquitto_passwd", "-b", "-c", passwords, "camera", "right-password").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	locked := mosquitto.Start(t, "allow_anonymous false", "password_file "+passwords)
	versions(t, func(t *testing.T, version int) {
		cfg := config(locked, version)
		password := "wrong-password"
		cfg.Username, cfg.Password = "camera", func() string { return password }
		s := newSink(t, cfg)
		err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
		if err == nil || !strings.Contains(err.Error(), "not authorized") || strings.Contains(err.Error(), password) {
			t.Fatalf("wrong password: %v", err)
		}
		if _, ok := errors.AsType[*sink.PartialError](err); ok {
			t.Errorf("events are not at fault: %v", err)
		}
		password = "right-password"
		if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1)); err != nil {
			t.Errorf("right password: %v", err)
		}
	})
}

func aclBroker(t *testing.T) *mosquitto.Broker {
	t.Helper()
	path := t.TempDir() + "/acl"
	if err := os.WriteFile(path, []byte("topic readwrite open/#\ntopic read closed/#\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return mosquitto.Start(t, "acl_file "+path)
}

// Events of a topic that we may not publish to are refused; the others are taken.
func TestDeniedTopicIsRefused(t *testing.T) {
	b := aclBroker(t)
	cfg := config(b, V5)
	cfg.Topic = "{stream}/x"
	records := sinktest.Records([]string{"open", "closed"}, 1, 3)
	err := newSink(t, cfg).Publish(t.Context(), records)
	checkRefused(t, err, []int{1, 3, 5}, "does not let us publish")
}

// 3.1.1 has no word for it: mosquitto acknowledges what it throws away. This is why 5
// is the default, and said where the version is chosen.
func TestVersion3CannotTellADeniedTopic(t *testing.T) {
	b := aclBroker(t)
	cfg := config(b, V3)
	cfg.Topic = "{stream}/x"
	sub := b.Subscribe("#")
	if err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"closed", "open"}, 1, 1)); err != nil {
		t.Fatalf("mosquitto has learned to say no to 3.1.1: %v", err)
	}
	if got := sub.Count(1); len(got) != 1 || got[0].Topic != "open/x" {
		t.Errorf("arrived: %v", got)
	}
}

func checkRefused(t *testing.T, err error, refused []int, why string) {
	t.Helper()
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !ok || len(partial.Failed) != 0 || !slices.Equal(partial.Refused, refused) || !strings.Contains(err.Error(), why) {
		t.Fatalf("got %v, want %v refused because %q", err, refused, why)
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	records := sinktest.Records([]string{"a"}, 1, 3)
	records[1].Event.Data.Stream.Title = strings.Repeat("x", 5000)
	t.Run("as the broker says", func(t *testing.T) {
		b := mosquitto.Start(t, "max_packet_size 4000")
		sub := b.Subscribe("#")
		checkRefused(t, newSink(t, config(b, V5)).Publish(t.Context(), records), []int{1}, "the most is 4000")
		if got := read(t, sub, 2); len(got) != 2 {
			t.Errorf("%d arrived", len(got))
		}
	})
	t.Run("as configured", func(t *testing.T) {
		versions(t, func(t *testing.T, version int) {
			cfg := config(mosquitto.Start(t), version)
			cfg.MaxPacket = 4000
			checkRefused(t, newSink(t, cfg).Publish(t.Context(), records), []int{1}, "the most is 4000")
		})
	})
	t.Run("as the broker finds out", func(t *testing.T) {
		b := mosquitto.Start(t, "message_size_limit 4000")
		checkRefused(t, newSink(t, config(b, V5)).Publish(t.Context(), records), []int{1}, "too large")
	})
}

// The broker is killed twice with events on their way, and restarted on what it had
// written. Mosquitto acknowledges before it writes, so what it had acknowledged is
// waited for: that is its promise to keep; the rest is ours.
func TestKill9(t *testing.T) {
	versions(t, func(t *testing.T, version int) {
		b := mosquitto.Start(t, "persistence true", "persistence_location HOME/", "autosave_on_changes true", "autosave_interval 1")
		sub := b.Subscribe("sightline/#")
		s := newSink(t, config(b, version))
		keys := []string{"a", "b", "c"}
		const rounds, perRound = 60, 4
		for i := range rounds {
			batch := sinktest.Records(keys, uint64(1+i*perRound), perRound)
			if i == 20 || i == 40 {
				read(t, sub, i*perRound*len(keys))
				b.Pause()
				killed := make(chan struct{})
				time.AfterFunc(100*time.Millisecond, func() {
					b.Kill9()
					close(killed)
				})
				if err := s.Publish(t.Context(), batch); err == nil {
					t.Error("a killed broker has acknowledged events")
				}
				<-killed
				b.Restart()
			}
			deliver(t, s, batch)
		}
		checkOrder(t, read(t, sub, rounds*perRound*len(keys)), keys, rounds*perRound)
	})
}

// deliver publishes until everything is accepted and returns how often that failed.
func deliver(t *testing.T, s *Sink, batch []sink.Record) (failures int) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); ; failures++ {
		err := s.Publish(t.Context(), batch)
		if err == nil {
			return failures
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
		if partial, ok := errors.AsType[*sink.PartialError](err); ok {
			if partial.Refused != nil {
				t.Fatal(err)
			}
			var rest []sink.Record
			for _, i := range partial.Failed {
				rest = append(rest, batch[i])
			}
			batch = rest
		}
	}
}

// checkOrder wants n events of each key, first arrivals in order, and repeats with the
// same id alone.
func checkOrder(t *testing.T, got []sinktest.Arrival, keys []string, n int) {
	t.Helper()
	next := map[string]uint64{}
	seen := map[string]bool{}
	for _, a := range got {
		if seen[a.ID] {
			continue
		}
		seen[a.ID] = true
		if next[a.Key]++; a.Sequence != next[a.Key] {
			t.Fatalf("key %s: %d arrives where %d was due", a.Key, a.Sequence, next[a.Key])
		}
	}
	for _, key := range keys {
		if next["test/"+key] != uint64(n) {
			t.Errorf("key %s: %d of %d arrived", key, next["test/"+key], n)
		}
	}
}

func TestFrozenBroker(t *testing.T) {
	b := mosquitto.Start(t)
	sub := b.Subscribe("#")
	cfg := config(b, V5)
	cfg.Timeout = 300 * time.Millisecond
	s := newSink(t, cfg)
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	b.Pause()
	err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 2))
	checkError(t, err, "no answer within 300ms")
	err = s.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 2)) // the kernel takes the connection, nobody answers
	checkError(t, err, "no answer within 300ms")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := s.Publish(ctx, sinktest.Records([]string{"a"}, 2, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	b.Resume()
	deliver(t, s, sinktest.Records([]string{"a"}, 2, 2))
	checkOrder(t, read(t, sub, 3), []string{"a"}, 3)
}

// An idle connection is used again, encrypted or not: looking whether it lives does it
// no harm.
func TestIdleConnectionIsKept(t *testing.T) {
	ca := testkit.NewAuthority(t)
	ca.Issue(t, "broker")
	secret := mosquitto.Start(t, "certfile "+ca.Path("broker.pem"), "keyfile "+ca.Path("broker.key"))
	plain := mosquitto.Start(t)
	versions(t, func(t *testing.T, version int) {
		for _, b := range []*mosquitto.Broker{plain, secret} {
			cfg := config(b, version)
			if b == secret {
				cfg.URL, cfg.TLS = "mqtts://"+b.Addr, &sink.TLS{CA: ca.Path("ca.pem")}
			}
			s := newSink(t, cfg)
			var first *session
			for n := range uint64(4) {
				if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, n+1, 2)); err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = s.session
				}
				if s.session != first {
					t.Fatalf("%s: a connection was made anew", cfg.URL)
				}
				s.session.used = time.Now().Add(-time.Minute)
			}
		}
	})
}
