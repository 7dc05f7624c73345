package pipelines

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Ways of a camera to be ill.
const (
	healthy      = "healthy"
	killed       = "killed"      // connections are reset and its port is closed
	refusing     = "refusing"    // connections are ended and its port is closed
	blackHole    = "black hole"  // what is sent to it vanishes, connection attempts too
	halfOpen     = "half open"   // its system answers, its program is gone
	truncating   = "truncating"  // connections end in the middle of a NAL unit
	endlessSDP   = "endless SDP" // its description of itself never ends
	dripping     = "dripping"    // it answers one byte at a time
	babbling     = "babbling"    // it speaks something else
	keyless      = "keyless"     // restarted, it sends no keyframe
	jumping      = "jumping"     // its RTP clock is an hour ahead all of a sudden
	resized      = "resized"     // restarted, its pictures have another size
	recoded      = "recoded"     // restarted, they have another codec
	unauthorized = "401 Unauthorized"
	sessionless  = "454 Session Not Found"
	unknown      = "404 Not Found"
	overworked   = "503 Service Unavailable"
)

// chaos stands between a camera's network and its clients and makes it ill. RTSP
// with everything in one connection goes through it.
type chaos struct {
	t       testing.TB
	backend string // address of a healthy camera with the streams small, large and other
	addr    string

	mode     atomic.Pointer[string]
	mu       sync.Mutex
	listener net.Listener
	hole     int // socket of a black hole, -1 for none
	filler   []net.Conn
	conns    map[net.Conn]bool
	closed   chan struct{}
	wg       sync.WaitGroup
}

func newChaos(t testing.TB, backend string) *chaos {
	c := &chaos{t: t, backend: backend, addr: "127.0.0.1:0", hole: -1, conns: map[net.Conn]bool{}, closed: make(chan struct{})}
	c.set(healthy)
	t.Cleanup(func() {
		close(c.closed)
		c.mu.Lock()
		c.shut()
		c.hangUp(false)
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *chaos) url() string { return "rtsp://" + c.addr + "/small" }

func (c *chaos) is(mode string) bool { return *c.mode.Load() == mode }

// set makes the camera ill, or well.
func (c *chaos) set(mode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mode.Store(&mode)
	switch mode {
	case killed:
		c.shut()
		c.hangUp(true)
	case refusing:
		c.shut()
		c.hangUp(false)
	case blackHole:
		c.shut()
		c.dig()
	case halfOpen, truncating, jumping: // what goes through sees to it
		c.open()
	case healthy:
		c.shut()
		c.open()
	default:
		c.open()
		c.hangUp(false)
	}
}

func (c *chaos) open() {
	if c.listener != nil {
		return
	}
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.listener, c.addr = l, l.Addr().String()
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.serve(conn) })
		}
	})
}

func (c *chaos) shut() {
	if c.listener != nil {
		c.listener.Close()
		c.listener = nil
	}
	if c.hole >= 0 {
		unix.Close(c.hole)
		c.hole = -1
	}
	for _, conn := range c.filler {
		conn.Close()
	}
	c.filler = nil
}

func (c *chaos) hangUp(reset bool) {
	for conn := range c.conns {
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
	clear(c.conns)
}

// dig makes the port swallow connection attempts: Linux drops what asks for a
// connection while the queue of those not taken is full.
func (c *chaos) dig() {
	addr, err := net.ResolveTCPAddr("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())})
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	c.hole = fd
	for range 4 {
		conn, err := net.DialTimeout("tcp", c.addr, 50*time.Millisecond)
		if err != nil {
			return
		}
		c.filler = append(c.filler, conn)
	}
	c.t.Error("the black hole takes connections")
}

func (c *chaos) keep(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = true
}

func (c *chaos) serve(client net.Conn) {
	defer client.Close()
	c.keep(client)
	switch mode := *c.mode.Load(); mode {
	case halfOpen:
		<-c.closed // it stays as it is for ever
	case endlessSDP, unauthorized, sessionless, unknown, overworked, dripping, babbling:
		c.answer(client, mode)
	default:
		c.forward(client, mode)
	}
}

// answer is what a camera says that serves nothing.
func (c *chaos) answer(client net.Conn, mode string) {
	if mode == babbling {
		client.Write(bytes.Repeat([]byte("\x00\xffSSH-2.0\r\n$"), 4000))
		return
	}
	in := bufio.NewReader(client)
	for {
		method, sequence, err := request(in)
		if err != nil {
			return
		}
		status, headers := mode, ""
		switch {
		case mode == dripping:
			for range 1000 {
				if _, err := client.Write([]byte("R")); err != nil || !c.waits(200*time.Millisecond) {
					return
				}
			}
		case mode == endlessSDP:
			status, headers = "200 OK", "Public: DESCRIBE, SETUP, PLAY\r\n"
			if method == "DESCRIBE" {
				headers = "Content-Type: application/sdp\r\nContent-Length: 1000000000\r\n"
			}
		case mode == unauthorized:
			headers = "WWW-Authenticate: Basic realm=\"camera\"\r\n"
		}
		if _, err := fmt.Fprintf(client, "RTSP/1.0 %s\r\nCSeq: %s\r\n%s\r\n", status, sequence, headers); err != nil {
			return
		}
		for mode == endlessSDP && method == "DESCRIBE" {
			if _, err := client.Write(bytes.Repeat([]byte("a=x:and so on\r\n"), 100)); err != nil || !c.waits(5*time.Millisecond) {
				return
			}
		}
	}
}

// waits returns false at the end of the test.
func (c *chaos) waits(d time.Duration) bool {
	select {
	case <-c.closed:
		return false
	case <-time.After(d):
		return true
	}
}

func request(in *bufio.Reader) (method, sequence string, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSpace(line)
		if method == "" {
			method, _, _ = strings.Cut(line, " ")
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "CSeq") {
			sequence = strings.TrimSpace(value)
		}
		if line == "" && method != "" {
			return method, sequence, nil
		}
	}
}

// forward passes everything on, and what comes from the camera through its
// illness.
func (c *chaos) forward(client net.Conn, began string) {
	camera, err := net.Dial("tcp", c.backend)
	if err != nil {
		return
	}
	c.keep(camera)
	c.wg.Go(func() {
		defer camera.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			part := buf[:n]
			switch began {
			case resized:
				part = bytes.ReplaceAll(part, []byte("/small"), []byte("/large"))
			case recoded:
				part = bytes.ReplaceAll(part, []byte("/small"), []byte("/other"))
			}
			if _, err := camera.Write(part); err != nil {
				return
			}
		}
	})
	defer camera.Close()
	in, dropped := bufio.NewReaderSize(camera, 128<<10), uint16(0)
	for {
		part, media, err := next(in)
		switch {
		case err != nil:
			return
		case c.is(blackHole), c.is(halfOpen):
			<-c.closed
			return
		case media && c.is(truncating) && len(part) > 200:
			client.Write(part[:len(part)/2])
			return
		case media && began == keyless && c.is(keyless) && startsDecoding(part[4:]):
			dropped++
			continue
		}
		if media {
			rtp := part[4:]
			binary.BigEndian.PutUint16(rtp[2:], binary.BigEndian.Uint16(rtp[2:])-dropped)
			if c.is(jumping) {
				binary.BigEndian.PutUint32(rtp[4:], binary.BigEndian.Uint32(rtp[4:])+3600*90000)
			}
		}
		if _, err := client.Write(part); err != nil {
			return
		}
	}
}

// next reads an answer or an interleaved frame; media is one of RTP.
func next(in *bufio.Reader) (part []byte, media bool, err error) {
	first, err := in.Peek(4)
	if err != nil {
		return nil, false, err
	}
	if first[0] == '$' {
		part = make([]byte, 4+int(binary.BigEndian.Uint16(first[2:])))
		_, err = io.ReadFull(in, part)
		return part, part[1] == 0 && len(part) > 4+12, err
	}
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, false, err
		}
		part = append(part, line...)
		fmt.Sscanf(string(line), "Content-Length: %d", &length)
		if len(bytes.TrimSpace(line)) == 0 {
			body := make([]byte, length)
			_, err := io.ReadFull(in, body)
			return append(part, body...), false, err
		}
	}
}

// startsDecoding tells of H.264 in RTP whether it is a part of a keyframe or of
// the parameter sets (RFC 6184).
func startsDecoding(rtp []byte) bool {
	payload := rtp[12+4*int(rtp[0]&15):]
	kind := payload[0] & 31
	if kind == 28 {
		kind = payload[1] & 31
	}
	return kind == 5 || kind == 7 || kind == 8 || kind == 24
}
