package rtsp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/mikey"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
)

// identity is a certificate with its key, also as PEM files.
type identity struct {
	tls.Certificate
	file, both string // the certificate alone, and with its key
}

// identify makes a certificate for a host, signed by an authority or, where that
// is nil, by itself.
func identify(t *testing.T, host string, by *identity) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else if host != "" {
		template.DNSNames = []string{host}
	} else {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
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
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	id := &identity{Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}
	folder := t.TempDir()
	id.file, id.both = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "both.pem")
	for path, text := range map[string][]byte{
		id.file: public, id.both: append(public, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

func TestContractOverTLS(t *testing.T) {
	ingesttest.Run(t, ingesttest.Case{Name: "tls", Live: true, New: func(t *testing.T) ingest.Source {
		id := identify(t, "127.0.0.1", nil)
		config := configFor(serve(t, camera.Config{Certificate: &id.Certificate}).URL("gate"))
		config.TLS.CA = id.file
		return newSource(config)
	}})
}

func TestCertificates(t *testing.T) {
	authority := identify(t, "", nil)
	other := identify(t, "", nil)
	signed := serve(t, camera.Config{Certificate: &identify(t, "127.0.0.1", authority).Certificate})
	elsewhere := serve(t, camera.Config{Certificate: &identify(t, "gate.example", authority).Certificate})
	own := identify(t, "camera", nil) // what cameras bring along: names nothing that is used
	alone := serve(t, camera.Config{Certificate: &own.Certificate})
	plain := "rtsps://" + newFake(t, "", "", nil, func(p *peer) {
		p.in.ReadByte()
		io.WriteString(p, "RTSP/1.0 400 Bad Request\r\n\r\n")
		p.in.WriteTo(io.Discard)
	}).Addr().String() + "/gate"
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	const good = ingest.Reason("")
	for _, c := range []struct {
		name   string
		url    string
		tls    ingest.TLS
		reason ingest.Reason
		says   string
	}{
		{"the authority that signed it", signed.URL("gate"), ingest.TLS{CA: authority.file}, good, ""},
		{"the certificate itself", alone.URL("gate"), ingest.TLS{CA: own.file}, good, ""},
		{"any", alone.URL("gate"), ingest.TLS{Insecure: true}, good, ""},
		{"the system's authorities", signed.URL("gate"), ingest.TLS{}, ingest.ReasonUntrusted, "under tls: ca"},
		{"another authority", signed.URL("gate"), ingest.TLS{CA: other.file}, ingest.ReasonUntrusted, "unknown authority"},
		{"another certificate", alone.URL("gate"), ingest.TLS{CA: identify(t, "camera", nil).file}, ingest.ReasonUntrusted, "tls: insecure"},
		{"for another host", elsewhere.URL("gate"), ingest.TLS{CA: authority.file}, ingest.ReasonUntrusted, "127.0.0.1"},
		{"a port without TLS", plain, ingest.TLS{Insecure: true}, ingest.ReasonFailed, "does not speak TLS"},
		{"no such file", signed.URL("gate"), ingest.TLS{CA: noPEM + "x"}, ingest.ReasonFailed, "no such file"},
		{"no certificate in the file", signed.URL("gate"), ingest.TLS{CA: noPEM}, ingest.ReasonFailed, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := configFor(c.url)
			config.TLS, config.Timeout = c.tls, 5*time.Second
			packets, err := read(t, config, 3)
			switch {
			case c.reason == good && err != nil:
				t.Errorf("%v after %d packets", err, len(packets))
			case c.reason != good && (err == nil || ingest.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%v: reason %q, want %q and %q", err, ingest.ReasonOf(err), c.reason, c.says)
			case len(packets) > 0 && c.reason != good:
				t.Errorf("%d packets came all the same", len(packets))
			}
		})
	}
}

// Small cameras calculate for seconds before they show their certificate.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	id := identify(t, "127.0.0.1", nil)
	f := newFake(t, plainSDP, "", nil, func(p *peer) {
		p.Conn = tls.Server(p.Conn, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			<-time.After(2 * time.Second)
			return &tls.Config{Certificates: []tls.Certificate{id.Certificate}, MaxVersion: tls.VersionTLS12}, nil
		}})
		p.in.Reset(p.Conn)
		p.serve(manners{"PLAY": play(frames(t, 10)...)})
	})
	config := configFor("rtsps://" + f.Addr().String() + "/gate")
	config.TLS.CA = id.file
	if packets, err := read(t, config, 10); err != nil {
		t.Errorf("%v after %d packets", err, len(packets))
	}
}

// A camera that takes a connection and never shows a certificate.
func TestTLSWithoutEnd(t *testing.T) {
	hang := func() *fake {
		return newFake(t, "", "", nil, func(p *peer) {
			p.in.ReadByte()
			p.reached()
			p.in.WriteTo(io.Discard)
		})
	}
	config := configFor("rtsps://" + hang().Addr().String() + "/gate")
	config.Timeout = shortTimeout
	began := time.Now()
	if _, err := read(t, config, 1); err == nil || ingest.ReasonOf(err) != ingest.ReasonTimeout {
		t.Errorf("%v, want reason timeout", err)
	}
	if took := time.Since(began); took > shortTimeout+slack {
		t.Errorf("took %v", took)
	}
	f := hang()
	config = configFor("rtsps://" + f.Addr().String() + "/gate")
	config.Timeout = time.Hour
	cancelled(t, config, f.reached)
}

// The key for SRTP may be dated as the camera thinks fit: its clock may never
// have been set.
func TestKeysOfAnyDate(t *testing.T) {
	id := identify(t, "127.0.0.1", nil)
	message := &mikey.Message{
		Header: mikey.Header{Version: 1, CSIDMapInfo: []mikey.SRTPIDEntry{{SSRC: 1}}},
		Payloads: []mikey.Payload{
			&mikey.PayloadT{TSValue: 2208988800 << 32}, // 1970
			&mikey.PayloadRAND{Data: make([]byte, 16)},
			&mikey.PayloadSP{PolicyParams: []mikey.PayloadSPPolicyParam{
				{Type: mikey.PayloadSPPolicyParamTypeEncrAlg, Value: []byte{1}},
				{Type: mikey.PayloadSPPolicyParamTypeSessionEncrKeyLen, Value: []byte{16}},
				{Type: mikey.PayloadSPPolicyParamTypeAuthAlg, Value: []byte{1}},
				{Type: mikey.PayloadSPPolicyParamTypeSessionAuthKeyLen, Value: []byte{10}},
				{Type: mikey.PayloadSPPolicyParamTypeSRTPEncrOffOn, Value: []byte{1}},
				{Type: mikey.PayloadSPPolicyParamTypeSRTCPEncrOffOn, Value: []byte{1}},
				{Type: mikey.PayloadSPPolicyParamTypeSRTPAuthOffOn, Value: []byte{1}},
			}},
			&mikey.PayloadKEMAC{SubPayloads: []*mikey.SubPayloadKeyData{{Type: mikey.SubPayloadKeyDataKeyTypeTEK, KeyData: make([]byte, 30)}}},
		},
	}
	raw, err := message.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(raw)
	secure := strings.Replace(plainSDP, "RTP/AVP", "RTP/SAVP", 1)
	for name, c := range map[string]struct{ sdp, header string }{
		"of the session": {strings.Replace(secure, "m=video", "a=key-mgmt:mikey "+key+"\r\nm=video", 1), "X: y"},
		"of the media":   {secure + "a=key-mgmt:mikey " + key + "\r\n", "X: y"},
		"in the answer":  {secure, `KeyMgmt: prot=mikey;uri="";data="` + key + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.sdp, "", nil, func(p *peer) {
				p.Conn = tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{id.Certificate}})
				p.in.Reset(p.Conn)
				p.serve(manners{"SETUP": status("200 OK", "Session: 1", "Transport: RTP/SAVP/TCP;unicast;interleaved=0-1", c.header), "PLAY": hangUp})
			})
			config := configFor("rtsps://" + f.Addr().String() + "/gate")
			config.TLS.CA = id.file
			if _, err := read(t, config, 1); err == nil || !strings.Contains(err.Error(), "play: ") {
				t.Errorf("%v: want to get as far as PLAY", err)
			}
		})
	}
}

// Over UDP a camera with TLS sends by SRTP.
func TestEncryptedUDP(t *testing.T) {
	id := identify(t, "127.0.0.1", nil)
	config := configFor(serve(t, camera.Config{Certificate: &id.Certificate}).URL("gate"))
	config.TLS.CA, config.Transport = id.file, rtsp.UDP
	packets, err := read(t, config, 30)
	if err != nil {
		t.Fatalf("%v after %d packets", err, len(packets))
	}
	for i, p := range packets {
		if p.Break || p.Clock.Source != ingest.ClockRTCP {
			t.Errorf("packet %d: break %v, clock %s", i, p.Break, p.Clock.Source)
		}
	}
}

func TestGstOverTLS(t *testing.T) {
	id := identify(t, "127.0.0.1", nil)
	for name, c := range map[string]struct {
		args      []string
		transport rtsp.Transport
	}{
		"tcp":      {[]string{"--tls", id.both, "--auth=digest"}, rtsp.TCP},
		"srtp tcp": {[]string{"--tls", id.both, "--srtp"}, rtsp.TCP},
		"srtp udp": {[]string{"--tls", id.both, "--srtp"}, rtsp.UDP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := configFor(gstCamera(t, c.args...))
			config.Transport, config.TLS.CA = c.transport, id.file
			config.Username, config.Password = "viewer", "secret"
			packets, err := read(t, config, 60)
			if err != nil {
				t.Fatalf("%v after %d packets", err, len(packets))
			}
			checkGst(t, ingest.H264, packets)
		})
	}
}
