package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

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

// authority is a certificate authority for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca", nil)
	return a
}

// issue writes NAME.pem and NAME.key, signed by the authority, or by itself at first.
func (a *authority) issue(t *testing.T, name string, ips []net.IP) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: ips,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: a.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".pem", "CERTIFICATE", der)
	a.write(t, name+".key", "EC PRIVATE KEY", keyDER)
	return cert, key
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(a.path(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func TestTLSWithClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	ca.issue(t, "broker", []net.IP{net.IPv4(127, 0, 0, 1)})
	ca.issue(t, "camera", nil)
	pair, err := tls.LoadX509KeyPair(ca.path("broker.pem"), ca.path("broker.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	c := fake(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	cfg := config(c.ListenAddrs()...)
	records := sinktest.Records([]string{"a"}, 1, 2)

	for name, test := range map[string]struct {
		tls  *TLS
		want string // in the error; empty: it works
	}{
		"both sides known":      {&TLS{CA: ca.path("ca.pem"), Cert: ca.path("camera.pem"), Key: ca.path("camera.key")}, ""},
		"broker not trusted":    {&TLS{Cert: ca.path("camera.pem"), Key: ca.path("camera.key")}, "name it in tls.ca"},
		"no client certificate": {&TLS{CA: ca.path("ca.pem")}, "certificate required"},
		"other server name":     {&TLS{CA: ca.path("ca.pem"), Cert: ca.path("camera.pem"), Key: ca.path("camera.key"), ServerName: "elsewhere"}, "elsewhere"},
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
	ca := newAuthority(t)
	garbage := ca.path("garbage.pem")
	if err := os.WriteFile(garbage, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, files := range map[string]TLS{
		"tls.ca: open ":              {CA: ca.path("missing.pem")},
		"tls.ca: no certificate in ": {CA: garbage},
		"tls.cert, tls.key: ":        {Cert: garbage, Key: ca.path("ca.key")},
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
