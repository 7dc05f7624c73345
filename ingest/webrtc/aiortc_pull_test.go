package webrtc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/ingesttest"
	"sightline/ingest/webrtc"
	"sightline/internal/testkit"
)

// serveClip starts a WHEP server that shares no code with Pion, for the test's
// time, and returns its host and port.
func serveClip(t *testing.T, args ...string) string {
	t.Helper()
	python := filepath.Join(testkit.Root(t), ".deps", "venv", "bin", "python")
	testkit.Require(t, "aiortc", exec.Command(python, "-c", "import aiohttp, aiortc").Run() == nil,
		"run `make setup-test` (aiortc in .deps/venv)")
	clip := testkit.Dep(t, "media/vtest.mp4")
	return "127.0.0.1:" + testkit.Peer(t, exec.Command(python, append([]string{"testdata/whep_serve.py", clip}, args...)...))
}

func newPuller(url string, change func(*webrtc.PullConfig)) *webrtc.Puller {
	config := webrtc.PullDefaults()
	config.URL = url
	if change != nil {
		change(&config)
	}
	return webrtc.NewPuller(config, "gate", slog.New(slog.DiscardHandler))
}

// pull runs a puller until so many packets came.
func pull(t *testing.T, p *webrtc.Puller, n int) []ingest.Packet {
	t.Helper()
	packets, err := ingesttest.Read(t, p, n)
	if err != nil || len(packets) < n {
		t.Fatalf("%v after %d packets", err, len(packets))
	}
	return packets
}

func TestPullContract(t *testing.T) {
	server := serveClip(t)
	for _, codec := range []string{"h264", "vp8"} {
		ingesttest.Run(t, ingesttest.Case{Name: codec, Live: true, Packets: 15, New: func(t *testing.T) ingest.Source {
			return newPuller("whep://"+server+"/"+codec, nil)
		}})
	}
	if n := sessions(t, server); n != "0" {
		t.Errorf("the server still has %s sessions", n)
	}
}

func sessions(t *testing.T, server string) string {
	t.Helper()
	response, err := http.Get("http://" + server + "/sessions")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPullAiortc(t *testing.T) {
	certificate, key := certify(t)
	for name, c := range map[string]struct {
		path   string
		codec  ingest.Codec
		server []string
		change func(*webrtc.PullConfig)
	}{
		"h264, token":                   {"/h264", ingest.H264, []string{"--token=t0ken"}, func(c *webrtc.PullConfig) { c.Token = "t0ken" }},
		"vp8, password":                 {"/vp8", ingest.VP8, []string{"--user=anna:s3cret"}, func(c *webrtc.PullConfig) { c.Username, c.Password = "anna", "s3cret" }},
		"h264, TLS of an own authority": {"/h264", ingest.H264, []string{"--cert=" + certificate, "--key=" + key}, func(c *webrtc.PullConfig) { c.TLS.CA = certificate }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serveClip(t, c.server...)
			scheme := "whep://"
			if strings.Contains(name, "TLS") {
				scheme = "wheps://"
			}
			checkAiortc(t, c.codec, pull(t, newPuller(scheme+server+c.path, c.change), 40))
			if strings.Contains(name, "TLS") {
				wantReason(t, newPuller(scheme+server+c.path, nil), ingest.ReasonUntrusted, "certificate")
				insecure := newPuller(scheme+server+c.path, func(c *webrtc.PullConfig) { c.TLS.Insecure = true })
				pull(t, insecure, 2)
			} else {
				wantReason(t, newPuller(scheme+server+c.path, nil), ingest.ReasonUnauthorized, "401")
			}
		})
	}
}

// certify makes a certificate for 127.0.0.1 and its key.
func certify(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// wantReason runs a puller that must fail so.
func wantReason(t *testing.T, p *webrtc.Puller, want ingest.Reason, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := p.Run(ctx, func(ingest.Packet) error { return nil })
	if err == nil || ingest.ReasonOf(err) != want || !strings.Contains(err.Error(), says) {
		t.Errorf("%v (reason %s), want reason %s and %q", err, ingest.ReasonOf(err), want, says)
	}
}
