package ingesttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Loss is what a bad network does to RTP packets, each on its own.
type Loss struct {
	Lost float64 // share that never arrives
	Late float64 // share that arrives up to three packets too late
	Seed uint64  // of the draw
}

// Relay passes RTSP sessions over UDP on to a camera and does to the RTP packets
// on the way back what a bad network does. It stands between the two by changing
// the ports in SETUP. It ends with the test.
type Relay struct {
	t        testing.TB
	camera   string
	loss     Loss
	listener net.Listener
	wait     sync.WaitGroup

	passed, lost, late atomic.Int64
	healed             atomic.Bool

	mu    sync.Mutex
	conns []interface{ Close() error }
}

// NewRelay stands in front of a camera's RTSP address, HOST:PORT.
func NewRelay(t testing.TB, camera string, loss Loss) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{t: t, camera: camera, loss: loss, listener: listener}
	r.keep(listener)
	r.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			r.keep(client)
			r.wait.Go(func() { r.session(client) })
		}
	})
	t.Cleanup(r.close)
	return r
}

// Addr is what to read instead of the camera, HOST:PORT.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Counts is what became of RTP packets so far.
func (r *Relay) Counts() (passed, lost, late int64) {
	return r.passed.Load(), r.lost.Load(), r.late.Load()
}

// Heal makes the network a good one from now on: counts of what got lost stay.
func (r *Relay) Heal() { r.healed.Store(true) }

func (r *Relay) close() {
	r.mu.Lock()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wait.Wait()
}

func (r *Relay) keep(c interface{ Close() error }) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
}

var (
	clientPorts = regexp.MustCompile(`client_port=(\d+)-\d+`)
	serverPorts = regexp.MustCompile(`server_port=(\d+)-\d+`)
)

// session copies requests and answers, with the ports of the relay's two sides in
// place of the peers'.
func (r *Relay) session(client net.Conn) {
	server, err := net.Dial("tcp", r.camera)
	if err != nil {
		client.Close()
		return
	}
	r.keep(server)
	s := newSides(r)
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
				return fmt.Appendf(nil, "%s=%s", name, s.meet(side, port))
			})
			to.Write(text)
		}
	}
	r.wait.Go(func() { copied(client, server, clientPorts, 0, "client_port") })
	copied(server, client, serverPorts, 1, "server_port")
}

// sides are two pairs of UDP ports, RTP and RTCP: side 0 poses as the client, to
// the camera, and side 1 as the camera.
type sides struct {
	conns [2][2]net.PacketConn // by side, then RTP or RTCP
	mu    sync.Mutex
	peers [2]int // RTP port of the client and of the camera
}

func newSides(r *Relay) *sides {
	s := &sides{}
	for side := range s.conns {
		s.conns[side] = udpPair(r)
	}
	for side := range s.conns {
		for kind := range s.conns[side] {
			r.wait.Go(func() { s.pump(r, side, kind) })
		}
	}
	return s
}

// udpPair opens an even UDP port and the next.
func udpPair(r *Relay) (conns [2]net.PacketConn) {
	for {
		a, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			r.t.Error(err)
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
		r.keep(a)
		r.keep(b)
		return [2]net.PacketConn{a, b}
	}
}

// meet learns a peer's RTP port and returns what to tell the other.
func (s *sides) meet(side, port int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[side] = port
	own := s.conns[side][0].LocalAddr().(*net.UDPAddr).Port
	return fmt.Sprintf("%d-%d", own, own+1)
}

// pump sends what one side receives on to the other side's peer. What the camera
// sends reaches side 0, which poses as its client.
func (s *sides) pump(r *Relay, side, kind int) {
	send := func(data []byte) {
		s.mu.Lock()
		to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.peers[side] + kind}
		s.mu.Unlock()
		s.conns[1-side][kind].WriteTo(data, to)
	}
	type delayed struct {
		data []byte
		left int // packets to go before it
	}
	var waiting []delayed
	draw := rand.New(rand.NewPCG(r.loss.Seed, 1))
	buf := make([]byte, 2048)
	for {
		n, _, err := s.conns[side][kind].ReadFrom(buf)
		if err != nil {
			return
		}
		if side != 0 || kind != 0 {
			send(buf[:n])
			continue
		}
		fate := draw.Float64()
		if r.healed.Load() {
			fate = 1
		}
		switch {
		case fate < r.loss.Lost:
			r.lost.Add(1)
		case fate < r.loss.Lost+r.loss.Late:
			r.late.Add(1)
			waiting = append(waiting, delayed{append([]byte(nil), buf[:n]...), 1 + draw.IntN(3)})
			continue
		default:
			r.passed.Add(1)
			send(buf[:n])
		}
		for i := 0; i < len(waiting); {
			if waiting[i].left--; waiting[i].left > 0 {
				i++
				continue
			}
			send(waiting[i].data)
			waiting = append(waiting[:i], waiting[i+1:]...)
		}
	}
}
