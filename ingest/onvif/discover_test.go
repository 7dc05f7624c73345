package onvif

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crowd answers every question with all its answers, like as many cameras.
func crowd(t *testing.T, answers ...string) string {
	t.Helper()
	s, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { s.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, maxDatagram)
		for {
			n, from, err := s.ReadFrom(buffer)
			if err != nil {
				return
			}
			if !strings.Contains(string(buffer[:n]), ":NetworkVideoTransmitter<") {
				t.Errorf("the question is %q", buffer[:n])
			}
			for _, a := range answers {
				s.WriteTo([]byte(a), from)
			}
		}
	}()
	return s.LocalAddr().String()
}

const match = `<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><SOAP-ENV:Body>
<d:ProbeMatches><d:ProbeMatch><d:Types>tds:Device dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Acme%20Dome
onvif://www.onvif.org/hardware/D-4</d:Scopes><d:XAddrs>http://[fe80::1]/onvif/device_service http://10.0.0.3/onvif/device_service http://10.0.0.4/</d:XAddrs></d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>`

func TestDiscover(t *testing.T) {
	address := crowd(t, match, match, "rubbish", strings.Replace(strings.ReplaceAll(match, "http://10.0.0.3", "http://admin:pw@10.0.0.2:8000"), "Acme%20Dome", "%zz", 1),
		strings.ReplaceAll(match, "http:", "gopher:"))
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	began := time.Now()
	got, err := Discover(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	want := []Found{{"http://10.0.0.2:8000/onvif/device_service", "", "D-4"}, {"http://10.0.0.3/onvif/device_service", "Acme Dome", "D-4"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := Discover(ctx, "nonsense"); err == nil {
		t.Error("nonsense is an address")
	}
}

// FuzzDiscovery reads whatever comes as an answer.
func FuzzDiscovery(f *testing.F) {
	f.Add(match)
	f.Add(`<Envelope><Body><ProbeMatches><ProbeMatch><XAddrs>http://%zz http:// https://h</XAddrs><Scopes>onvif://www.onvif.org/name/%</Scopes></ProbeMatch></ProbeMatches></Body></Envelope>`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, found := range matches([]byte(text)) {
			if !strings.HasPrefix(found.Address, "http") {
				t.Errorf("%+v", found)
			}
		}
	})
}
