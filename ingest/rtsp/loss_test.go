package rtsp_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"sightline/ingest"
	"sightline/ingest/camera"
	"sightline/ingest/ingesttest"
	"sightline/ingest/rtsp"
)

// lossy passes a client's UDP session on to a camera and drops every n-th RTP
// packet on the way back. It stands between the two by changing the ports in
// SETUP.
type lossy struct {
	t        *testing.T
	camera   string
	every    int
	listener net.Listener
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns []interface{ Close() error }
}

func newLossy(t *testing.T, camera string, every int) *lossy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossy{t: t, camera: camera, every: every, listener: listener}
	p.keep(listener)
	p.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.keep(client)
			p.wait.Go(func() { p.session(client) })
		}
	})
	t.Cleanup(func() {
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wait.Wait()
	})
	return p
}

func (p *lossy) keep(c interface{ Close() error }) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

var (
	clientPorts = regexp.MustCompile(`client_port=(\d+)-\d+`)
	serverPorts = regexp.MustCompile(`server_port=(\d+)-\d+`)
)

// session copies requests and answers, with the ports of two relays in place of
// the peers'.
func (p *lossy) session(client net.Conn) {
	server, err := net.Dial("tcp", p.camera)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.keep(server)
	relays := newRelays(p)
	copied := func(from, to net.Conn, ports *regexp.Regexp, side int, name string) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				from.Close()
				to.Close()
				return
			}
			text := ports.ReplaceAllFunc(buf[:n], func(match []byte) []byte {
				port, _ := strconv.Atoi(string(ports.FindSubmatch(match)[1]))
				return fmt.Appendf(nil, "%s=%s", name, relays.meet(side, port))
			})
			to.Write(text)
		}
	}
	p.wait.Go(func() { copied(client, server, clientPorts, 0, "client_port") })
	copied(server, client, serverPorts, 1, "server_port")
}

// relays are two pairs of UDP ports, RTP and RTCP: side 0 poses as the client, to
// the camera, and side 1 as the camera.
type relays struct {
	conns [2][2]net.PacketConn // by side, then RTP or RTCP
	mu    sync.Mutex
	peers [2]int // RTP port of the client and of the camera
}

func newRelays(p *lossy) *relays {
	r := &relays{}
	for side := range r.conns {
		r.conns[side] = pair(p)
	}
	for side := range r.conns {
		for kind := range r.conns[side] {
			p.wait.Go(func() { r.pump(p, side, kind) })
		}
	}
	return r
}

// pair opens an even UDP port and the next.
func pair(p *lossy) (conns [2]net.PacketConn) {
	for {
		a, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			p.t.Error(err)
			return
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		b, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if port%2 == 1 || err != nil {
			a.Close()
			if err == nil {
				b.Close()
			}
			continue
		}
		p.keep(a)
		p.keep(b)
		return [2]net.PacketConn{a, b}
	}
}

// meet learns a peer's RTP port and returns what to tell the other.
func (r *relays) meet(side, port int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[side] = port
	own := r.conns[side][0].LocalAddr().(*net.UDPAddr).Port
	return fmt.Sprintf("%d-%d", own, own+1)
}

// pump sends what one side receives on to the other side's peer. What the camera
// sends reaches side 0, which poses as its client.
func (r *relays) pump(p *lossy, side, kind int) {
	buf := make([]byte, 2048)
	for count := 1; ; count++ {
		n, _, err := r.conns[side][kind].ReadFrom(buf)
		if err != nil {
			return
		}
		if side == 0 && kind == 0 && count%p.every == 0 {
			continue
		}
		r.mu.Lock()
		to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.peers[side] + kind}
		r.mu.Unlock()
		r.conns[1-side][kind].WriteTo(buf[:n], to)
	}
}

func TestLossShowsAndTearsNothing(t *testing.T) {
	t.Parallel()
	made := ingesttest.H264(100, 10, 5*time.Millisecond)
	intact := map[string]bool{}
	for _, p := range made {
		intact[string(p.Data)] = true
	}
	server := serve(t, camera.Config{Streams: map[string]ingest.Source{"gate": &ingesttest.Scripted{
		Scripts: []ingesttest.Script{{Packets: made, Paced: true}},
	}}})
	direct := server.URL("gate")
	address := direct[len("rtsp://") : len(direct)-len("/gate")]
	config := configFor("rtsp://" + newLossy(t, address, 23).listener.Addr().String() + "/gate")
	config.Transport = rtsp.UDP
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	const want = 300
	seen, breaks, number := 0, 0, -1
	err := newSource(config).Run(ctx, func(p ingest.Packet) error {
		if !intact[string(p.Data)] {
			t.Errorf("packet %d is no access unit that the camera sent", seen)
		}
		n := numberOf(p)
		// A keyframe that lost only its parameter sets is whole again by the known ones.
		missing := number >= 0 && n != (number+1)%len(made)
		if missing && !p.Break || p.Break && !missing && !p.Keyframe {
			t.Errorf("picture %d after %d: break %v", n, number, p.Break)
		}
		number = n
		if p.Break {
			breaks++
		}
		if seen++; seen == want {
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatalf("%v after %d packets", err, seen)
	}
	if breaks < 10 {
		t.Errorf("%d breaks in %d pictures at a loss of 1 in 23", breaks, want)
	}
}
