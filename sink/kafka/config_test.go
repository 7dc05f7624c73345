package kafka

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"sightline/internal/testkit"
	"sightline/sink/sinktest"
)

func TestValidateNamesEveryMistake(t *testing.T) {
	bad := Config{
		Brokers: []string{"localhost", "a:0", "ok:9092", ":9092"}, Topic: "no spaces", Compression: "rar",
		Mode: "nested", Timestamp: "never", BatchBytes: 10,
		TLS: &TLS{Cert: "only.pem"}, SASL: &SASL{Mechanism: "GSSAPI", Password: nil},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`brokers[0]: "localhost"`, `brokers[1]: "a:0"`, `brokers[3]: ":9092"`, `topic: "no spaces"`, `compression: "rar"`,
		`mode: "nested"`, `timestamp: "never"`, `write_timeout:`, `batch_bytes:`, `tls:`, `sasl.mechanism: "GSSAPI"`,
		`sasl.username:`, `sasl.password:`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s", want)
		}
	}
	if strings.Contains(err.Error(), "brokers[2]") {
		t.Errorf("complains about a good broker: %v", err)
	}
	good := Defaults()
	good.Brokers, good.Topic = []string{"[::1]:9092", "kafka.example:9092"}, "a.b_c-1"
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := Defaults().Validate(); err == nil {
		t.Error("defaults alone name no broker")
	}
}

func TestTLSWithClientCertificate(t *testing.T) {
	ca := testkit.NewAuthority(t)
	ca.Issue(t, "broker")
	ca.Issue(t, "camera")
	pair, err := tls.LoadX509KeyPair(ca.Path("broker.pem"), ca.Path("broker.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := fake(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	cfg := config(c.ListenAddrs()...)
	records := sinktest.Records([]string{"a"}, 1, 2)

	for name, test := range map[string]struct {
		tls  *TLS
		want string // in the error; empty: it works
	}{
		"both sides known":      {&TLS{CA: ca.Path("ca.pem"), Cert: ca.Path("camera.pem"), Key: ca.Path("camera.key")}, ""},
		"broker not trusted":    {&TLS{Cert: ca.Path("camera.pem"), Key: ca.Path("camera.key")}, "name it in tls.ca"},
		"no client certificate": {&TLS{CA: ca.Path("ca.pem")}, "certificate required"},
		"other server name":     {&TLS{CA: ca.Path("ca.pem"), Cert: ca.Path("camera.pem"), Key: ca.Path("camera.key"), ServerName: "elsewhere"}, "elsewhere"},
		"plain text":            {nil, "may expect TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			cfg.TLS = test.tls
			to := newSink(t, cfg)
			err := to.Publish(t.Context(), records)
			for i := 0; i < 50 && err != nil && test.want != "" && !strings.Contains(err.Error(), test.want); i++ {
				err = to.Publish(t.Context(), records) // a broker's hanging up may be seen before its reason
			}
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want == "":
				if got := read(t, cfg, 2); len(got) != 2 {
					t.Errorf("%d arrived", len(got))
				}
			case err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), cfg.Brokers[0]):
				t.Errorf("got %v, want %q and the broker", err, test.want)
			}
		})
	}
}

func TestNewNamesTheTLSFileAtFault(t *testing.T) {
	ca := testkit.NewAuthority(t)
	garbage := ca.Path("garbage.pem")
	if err := os.WriteFile(garbage, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, files := range map[string]TLS{
		"tls.ca: open ":              {CA: ca.Path("missing.pem")},
		"tls.ca: no certificate in ": {CA: garbage},
		"tls.cert, tls.key: ":        {Cert: garbage, Key: ca.Path("ca.key")},
	} {
		cfg := config("127.0.0.1:1")
		cfg.TLS = &files
		if _, err := New(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSilentTLSPeerDoesNotHoldUpClose(t *testing.T) {
	cfg := config(silent(t))
	cfg.TLS, cfg.WriteTimeout = &TLS{}, 200*time.Millisecond
	s := newSink(t, cfg)
	if err := s.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1)); err == nil {
		t.Error("no error")
	}
	start := time.Now()
	if err := s.Close(context.Background()); err != nil || time.Since(start) > time.Second {
		t.Errorf("close: %v after %v", err, time.Since(start))
	}
}
