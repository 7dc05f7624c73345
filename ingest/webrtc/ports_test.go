package webrtc

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/ice/v2"
)

func TestPortsAdmit(t *testing.T) {
	for _, c := range []struct {
		listen, ip string
		want       bool
	}{
		{"127.0.0.1", "127.0.0.1", true}, {"127.0.0.1", "10.0.0.2", false}, {"::1", "127.0.0.1", true},
		{"10.0.0.2", "10.0.0.2", true}, {"10.0.0.2", "127.0.0.1", false}, {"10.0.0.2", "10.0.0.3", false},
		{"0.0.0.0", "10.0.0.2", true}, {"::", "127.0.0.1", true}, {"", "fd00::1", true}, {"10.0.0.2", "::ffff:10.0.0.2", true},
	} {
		p, err := OpenPorts(PortsConfig{Listen: c.listen})
		if err != nil || p.admits(netip.MustParseAddr(c.ip)) != c.want {
			t.Errorf("listening on %q: media on %s should be %v (%v)", c.listen, c.ip, c.want, err)
		}
	}
}

func TestPortsValidate(t *testing.T) {
	for want, c := range map[string]PortsConfig{
		"listen: ":            {Listen: "localhost"},
		"udp_port: ":          {UDPPort: 65536},
		"tcp_port: ":          {TCPPort: -1},
		"ice_servers: \"http": {ICEServers: []ICEServer{{URL: "http://turn.example"}}},
		"ice_servers: a user": {ICEServers: []ICEServer{{URL: "turn:turn.example", Username: "\""}}},
		"addresses: ":         {Addresses: []string{"203.0.113.7", "cam.example"}},
	} {
		if _, err := OpenPorts(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v does not begin with %q", err, want)
		}
	}
}

// freePort is a port that nobody uses, for UDP and TCP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func TestPortInUse(t *testing.T) {
	port := freePort(t)
	one, err := OpenPorts(PortsConfig{Listen: "127.0.0.1", UDPPort: port, TCPPort: port})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	for key, c := range map[string]PortsConfig{
		"udp_port": {Listen: "127.0.0.1", UDPPort: port},
		"tcp_port": {Listen: "127.0.0.1", TCPPort: port},
	} {
		if _, err := OpenPorts(c); err == nil || !strings.HasPrefix(err.Error(), key+": ") || !strings.Contains(err.Error(), fmt.Sprint(port)) {
			t.Errorf("%v does not name %s and %d", err, key, port)
		}
	}
	if _, err := OpenPorts(PortsConfig{Listen: "192.0.2.1", UDPPort: port}); err == nil || !strings.Contains(err.Error(), "udp_port") {
		t.Errorf("an address that is not ours: %v", err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if two, err := OpenPorts(PortsConfig{Listen: "127.0.0.1", UDPPort: port, TCPPort: port}); err != nil {
		t.Errorf("a port that was closed: %v", err)
	} else {
		two.Close()
	}
}

// A machine's addresses come and go.
func TestUDPPortFollowsAddresses(t *testing.T) {
	now := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	u := &udpPort{
		port: uint16(freePort(t)), muxes: map[netip.Addr]*ice.UDPMuxDefault{},
		admits: func(ip netip.Addr) bool { return ip != netip.MustParseAddr("127.0.0.9") },
		local:  func() ([]netip.Addr, error) { return now, nil },
	}
	defer u.Close()
	for _, c := range []struct{ have, want string }{
		{"127.0.0.1", "127.0.0.1"},
		{"127.0.0.1 127.0.0.2 127.0.0.9", "127.0.0.1 127.0.0.2"},
		{"127.0.0.3 192.0.2.1", "127.0.0.3"}, // the second is not there yet
	} {
		now = nil
		for text := range strings.FieldsSeq(c.have) {
			now = append(now, netip.MustParseAddr(text))
		}
		var got []string
		for _, a := range u.GetListenAddresses() {
			got = append(got, a.(*net.UDPAddr).IP.String())
			if conn, err := u.GetConn("someone", a); err != nil {
				t.Errorf("%v: %v", a, err)
			} else {
				conn.Close()
			}
		}
		if slices.Sort(got); strings.Join(got, " ") != c.want {
			t.Errorf("listens on %q of %q, want %q", got, c.have, c.want)
		}
	}
	u.Close()
	if got := u.GetListenAddresses(); len(got) != 0 {
		t.Errorf("after the end it listens on %v", got)
	}
}

func TestAnnounce(t *testing.T) {
	const answer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" +
		"a=candidate:1 1 udp 2130706431 192.168.1.5 8189 typ host\r\n" +
		"a=candidate:1 2 udp 2130706431 192.168.1.5 8189 typ host\r\n" +
		"a=candidate:2 1 udp 2130706431 192.168.7.5 8189 typ host\r\n" +
		"a=candidate:3 1 tcp 1671430143 192.168.1.5 8190 typ host tcptype passive\r\n" +
		"a=candidate:4 1 udp 2130706431 fd00::5 8189 typ host\r\n" +
		"a=end-of-candidates\r\n"
	p, err := OpenPorts(PortsConfig{Addresses: []string{"203.0.113.7", "2001:db8::7"}})
	if err != nil {
		t.Fatal(err)
	}
	got := p.Announce(answer)
	for _, want := range []string{
		" 1 udp 2130706431 203.0.113.7 8189 typ host", " 2 udp 2130706431 203.0.113.7 8189 typ host",
		" 1 tcp 1671430143 203.0.113.7 8190 typ host tcptype passive", " 1 udp 2130706431 2001:db8::7 8189 typ host",
	} {
		if n := strings.Count(got, want+"\r\n"); n != 1 {
			t.Errorf("%q is there %d times", want, n)
		}
	}
	if n := strings.Count(got, "a=candidate:"); n != 5+4 {
		t.Errorf("%d candidates in\n%s", n, got)
	}
	for line := range strings.Lines(answer) {
		if !strings.Contains(got, line) {
			t.Errorf("%q is lost", line)
		}
	}
	none, _ := OpenPorts(PortsConfig{})
	if none.Announce(answer) != answer {
		t.Error("something is announced without addresses")
	}
}
