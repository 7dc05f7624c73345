package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sightline/internal/testkit"
	"sightline/sink"
	"sightline/sink/sinktest"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	plain := fake(t).ListenAddrs()[0]
	ca := testkit.NewAuthority(t)
	ca.Issue(t, "elsewhere", net.IPv4(127, 0, 0, 9))
	pair, err := tls.LoadX509KeyPair(ca.Path("elsewhere.pem"), ca.Path("elsewhere.key"))
	if err != nil {
		t.Fatal(err)
	}
	other := fake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}})).ListenAddrs()[0]
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"unknown host":            {func(c *Config) { c.Brokers = []string{"no-such-host.invalid:9092"} }, "the host no-such-host.invalid is unknown here; is it spelled right in brokers?"},
		"TLS to a plain listener": {func(c *Config) { c.TLS, c.WriteTimeout = &TLS{}, 2*dialTimeout }, "the broker does not answer as TLS does"},
		"certificate for another name": {func(c *Config) {
			c.Brokers, c.TLS = []string{other}, &TLS{CA: ca.Path("ca.pem")}
		}, "the broker's certificate is for another name; use that one in brokers, or say it in tls.server_name"},
		"login where none is wanted": {func(c *Config) {
			c.SASL = &SASL{Mechanism: "PLAIN", Username: "u", Password: always("p")}
		}, "a listener that expects no SASL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(plain)
			cfg.WriteTimeout = 2 * time.Second
			c.change(&cfg)
			err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Who delivers asks the error whether an event may be at fault: a broker that is
// away, or a permission that is missing, makes no dead letters while others get
// through. What makes a broker hang up may be found among the events.
func TestErrorsAboutBrokersBlameNoEvent(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*kfake.Cluster)
		want  bool
	}{
		"the broker hangs up": {func(c *kfake.Cluster) {
			c.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				return nil, errors.New("crash"), true
			})
		}, false},
		"no permission": {verdicts(kerr.TopicAuthorizationFailed), true},
		"no replicas":   {verdicts(kerr.NotEnoughReplicas), true},
		"nobody knows":  {verdicts(kerr.UnknownServerError), false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fake(t)
			c.spoil(cluster)
			err := newSink(t, config(cluster.ListenAddrs()...)).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
			var partial *sink.PartialError
			if !errors.As(err, &partial) || !slices.Equal(partial.Failed, []int{0}) {
				t.Fatalf("got %v, want the event to fail", err)
			}
			var temporary interface{ Temporary() bool }
			if got := errors.As(err, &temporary) && temporary.Temporary(); got != c.want {
				t.Errorf("blames no event: %t of %v", got, err)
			}
		})
	}
	for err, want := range map[error]bool{
		io.ErrUnexpectedEOF: false, syscall.ECONNRESET: false, &handshakeError{io.EOF}: true,
		errors.New("mismatching leaders"): true, context.DeadlineExceeded: true,
	} {
		if got := sink.IsPassing(&topicError{topic, &brokerError{err}}); got != want {
			t.Errorf("blames no event: %t of %v", got, err)
		}
	}
}

func verdicts(err *kerr.Error) func(*kfake.Cluster) {
	return func(c *kfake.Cluster) { c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: -1}) }
}

// A password that is changed at the broker first fails, then is read anew.
func TestPasswordIsReadAgainAfterARefusal(t *testing.T) {
	c := fake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "cam", "second"))
	var current atomic.Value
	current.Store("first")
	cfg := config(c.ListenAddrs()...)
	cfg.SASL = &SASL{Mechanism: "SCRAM-SHA-256", Username: "cam", Password: func() string { return current.Load().(string) }}
	s := newSink(t, cfg)
	records := sinktest.Records([]string{"a"}, 1, 1)
	checkRefusedPassword(t, s.Publish(t.Context(), records), "login of user")
	current.Store("second")
	if err := s.Publish(t.Context(), records); err != nil {
		t.Error(err)
	}
}

// A broker that repeats the secret it refuses does not bring it into logs and events.
func TestRefusedSecretIsNotRepeated(t *testing.T) {
	const secret = "abc.def.ghi"
	for _, mechanism := range []string{"PLAIN", OAuthBearer} {
		c := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "cam", "another"))
		c.ControlKey(kmsg.SASLHandshake.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			return r.ResponseKind(), nil, true
		})
		c.ControlKey(kmsg.SASLAuthenticate.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			why := secret + " is not known"
			res := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			res.ErrorCode, res.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &why
			return res, nil, true
		})
		cfg := config(c.ListenAddrs()...)
		cfg.SASL = &SASL{Mechanism: mechanism, Username: "cam", Password: always(secret), Token: always(secret)}
		err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1))
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "*** is not known") {
			t.Errorf("%s: %v", mechanism, err)
		}
		if !is(err, kafkago.SASLAuthenticationFailed) || !strings.Contains(err.Error(), "broker refused") {
			t.Errorf("%s: the cause is lost: %v", mechanism, err)
		}
	}
}

// The files of TLS are read for each connection: an authority is replaced by another.
func TestAuthorityIsReadAgain(t *testing.T) {
	old, ca := testkit.NewAuthority(t), testkit.NewAuthority(t)
	ca.Issue(t, "broker")
	pair, err := tls.LoadX509KeyPair(ca.Path("broker.pem"), ca.Path("broker.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(fake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}})).ListenAddrs()...)
	cfg.TLS = &TLS{CA: old.Path("ca.pem")}
	s := newSink(t, cfg)
	records := sinktest.Records([]string{"a"}, 1, 1)
	if err := s.Publish(t.Context(), records); err == nil || !strings.Contains(err.Error(), "name it in tls.ca") {
		t.Errorf("an unknown authority: %v", err)
	}
	if err := os.Rename(ca.Path("ca.pem"), old.Path("ca.pem")); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), records); err != nil {
		t.Error(err)
	}
}

// Keys move when a topic grows: that is said and counted.
func TestGrowingTopicIsSaid(t *testing.T) {
	c := fake(t)
	var log bytes.Buffer
	s := newLoggedSink(t, config(c.ListenAddrs()...), &log)
	records := sinktest.Records([]string{"a"}, 1, 1)
	if err := s.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	res, err := s.client(nil).CreatePartitions(t.Context(), &kafkago.CreatePartitionsRequest{
		Topics: []kafkago.TopicPartitionsConfig{{Name: topic, Count: 5}}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		t.Fatal(err)
	}
	s.renew()
	if err := s.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if want := "topic=" + topic + " before=3 now=5 changes=1"; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in the log: %s", want, log.String())
	}
}

func TestExpiryOfAToken(t *testing.T) {
	token := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	for text, want := range map[string]int64{
		token(`{"exp":1700000000,"sub":"x"}`): 1700000000, token(`{"exp":1.7e9}`): 1700000000,
		token(`{"sub":"x"}`): 0, token(`{"exp":-5}`): 0, token(`{"exp":"soon"}`): 0, "opaque": 0, "a.%.c": 0, token("{"): 0,
	} {
		got := int64(0)
		if at := expiry(text); !at.IsZero() {
			got = at.Unix()
		}
		if got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

// FuzzExpiry reads any token.
func FuzzExpiry(f *testing.F) {
	f.Add("e30.eyJleHAiOjE3MDAwMDAwMDB9.c2ln")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if at := expiry(token); !at.IsZero() && at.Unix() <= 0 {
			t.Errorf("%q expires at %v", token, at)
		}
	})
}
