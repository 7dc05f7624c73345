package ingest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify makes a certificate that begins so long ago and lasts an hour, signed by
// another one or itself, and its PEM file.
func certify(t *testing.T, by *tls.Certificate, ago time.Duration, names ...string) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-ago), NotAfter: time.Now().Add(time.Hour - ago), IsCA: by == nil,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	signer, signerKey := template, any(key)
	if by != nil {
		signer, signerKey = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "certificate.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, file
}

// TestTLSClient asks servers over HTTPS, whose client tells no configuration the
// host where that is an address.
func TestTLSClient(t *testing.T) {
	authority, authorityFile := certify(t, nil, time.Minute)
	other, otherFile := certify(t, nil, time.Minute)
	signed, _ := certify(t, authority, time.Minute, "h.example", "10.0.0.1")
	stale, _ := certify(t, authority, 2*time.Hour, "h.example", "10.0.0.1")
	own, ownFile := certify(t, nil, 2*time.Hour, "camera")
	const good = Reason("")
	for _, c := range []struct {
		name   string
		host   string
		shows  *tls.Certificate
		tls    TLS
		reason Reason
	}{
		{"signed for the name", "h.example", signed, TLS{CA: authorityFile}, good},
		{"signed for the address", "10.0.0.1", signed, TLS{CA: authorityFile}, good},
		{"signed for another name", "evil.example", signed, TLS{CA: authorityFile}, ReasonUntrusted},
		{"signed for another address", "10.0.0.2", signed, TLS{CA: authorityFile}, ReasonUntrusted},
		{"signed, out of date", "h.example", stale, TLS{CA: authorityFile}, ReasonUntrusted},
		{"signed by another", "10.0.0.1", signed, TLS{CA: otherFile}, ReasonUntrusted},
		{"signed by one that nobody knows", "10.0.0.1", signed, TLS{}, ReasonUntrusted},
		{"its own, named by file", "10.0.0.1", own, TLS{CA: ownFile}, good},
		{"its own, named by file, with a name", "h.example", own, TLS{CA: ownFile}, good},
		{"its own, another in the file", "10.0.0.1", other, TLS{CA: ownFile}, ReasonUntrusted},
		{"any", "10.0.0.1", own, TLS{Insecure: true}, good},
	} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*c.shows}}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		config, err := c.tls.Client(c.host)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		}}
		response, err := (&http.Client{Transport: transport}).Get("https://" + c.host + "/")
		if err == nil {
			response.Body.Close()
		}
		if (err == nil) != (c.reason == good) || err != nil && NetworkReason(err) != c.reason {
			t.Errorf("%s: %v, want %q", c.name, err, c.reason)
		}
		transport.CloseIdleConnections()
		server.Close()
	}
}

func TestTLSFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := (TLS{CA: file}).Client("h"); err == nil || !strings.HasPrefix(err.Error(), "tls: ca: open ") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (TLS{CA: file}).Client("h"); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("no certificate: %v", err)
	}
}
