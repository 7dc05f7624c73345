package webrtc_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v3"
	"go.uber.org/goleak"

	"sightline/ingest/webrtc"
)

// openPorts opens them for the test's time. The publishers' and streams' ends come first.
func openPorts(t *testing.T, c webrtc.PortsConfig) *webrtc.Ports {
	t.Helper()
	ports, err := webrtc.OpenPorts(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Close() })
	return ports
}

func unusedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// candidates are the transport, address and port of each.
func candidates(answer string) (found []string) {
	for line := range strings.Lines(answer) {
		if rest, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			f := strings.Fields(rest)
			found = append(found, strings.Join([]string{f[2], f[4], f[5]}, " "))
		}
	}
	return found
}

// Two streams, published at once, over one UDP port, which keeps nothing of them.
func TestStreamsShareAUDPPort(t *testing.T) {
	port := unusedPort(t)
	ports := openPorts(t, webrtc.PortsConfig{Listen: "127.0.0.1", UDPPort: port})
	before := goleak.IgnoreCurrent()
	t.Run("streams", func(t *testing.T) {
		for range 2 {
			source := newSource(func(c *webrtc.Config) { c.Ports = ports })
			p := newPublisher(endpoint(t, source), h264)
			p.changeAnswer = func(answer string) string {
				for _, c := range candidates(answer) {
					if !strings.HasPrefix(c, "udp ") || !strings.HasSuffix(c, fmt.Sprintf(" %d", port)) {
						t.Errorf("the answer has a candidate %s", c)
					}
				}
				return answer
			}
			packets, _ := runInBackground(t, source)
			goLive(t, p)
			for range 20 {
				waitFor(t, "packet", packets)
			}
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines are left behind: %v", err)
	}
}

// Where UDP does not pass, one TCP port is all that is needed.
func TestMediaOverTCP(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("session", func(t *testing.T) {
		port := unusedPort(t)
		ports := openPorts(t, webrtc.PortsConfig{Listen: "127.0.0.1", TCPPort: port})
		source := newSource(func(c *webrtc.Config) { c.Ports = ports })
		p := newPublisher(endpoint(t, source), vp8)
		p.networks = []pion.NetworkType{pion.NetworkTypeTCP4}
		p.changeAnswer = func(answer string) string { // as a firewall does
			var out strings.Builder
			for line := range strings.Lines(answer) {
				if !strings.HasPrefix(line, "a=candidate:") || strings.Contains(line, " tcp ") {
					out.WriteString(line)
				}
			}
			return out.String()
		}
		packets, ended := runInBackground(t, source)
		l := goLive(t, p)
		for range 50 {
			waitFor(t, "packet", packets)
		}
		pair, err := l.peer.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil || pair.Remote.Protocol != pion.ICEProtocolTCP || int(pair.Remote.Port) != port {
			t.Errorf("media goes over %v (%v)", pair, err)
		}
		p.request(t.Context(), http.MethodDelete, p.session, "")
		waitFor(t, "end", ended)
	})
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines are left behind: %v", err)
	}
}

// A port that is open to everybody takes so many connections that say nothing,
// and they hold up no end.
func TestSilentConnections(t *testing.T) {
	port := unusedPort(t)
	ports := openPorts(t, webrtc.PortsConfig{Listen: "127.0.0.1", TCPPort: port})
	sentAway := 0
	for range 600 {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			sentAway++
		}
	}
	if sentAway < 50 {
		t.Errorf("%d of 600 were sent away", sentAway)
	}
	began := time.Now()
	if err := ports.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestPublicAddressIsAnnounced(t *testing.T) {
	ports := openPorts(t, webrtc.PortsConfig{Listen: "127.0.0.1", UDPPort: unusedPort(t), Addresses: []string{"203.0.113.7"}})
	source := newSource(func(c *webrtc.Config) { c.Ports = ports })
	p := newPublisher(endpoint(t, source), vp8)
	announced := 0
	p.changeAnswer = func(answer string) string {
		for _, c := range candidates(answer) {
			if strings.HasPrefix(c, "udp 203.0.113.7 ") {
				announced++
			}
		}
		return answer
	}
	packets, _ := runInBackground(t, source)
	goLive(t, p)
	waitFor(t, "packet", packets)
	if announced == 0 {
		t.Error("the public address is not announced")
	}
}
