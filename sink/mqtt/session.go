package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sightline/sink"
)

// session is one connection. One goroutine at a time uses it.
type session struct {
	conn     net.Conn
	tcp      syscall.RawConn // below conn
	in       *bufio.Reader
	protocol protocol
	timeout  time.Duration
	limits   limits
	secret   string    // the password, for nobody's eyes
	last     uint16    // packet id
	used     time.Time // when the broker last answered
	stop     func() bool
	ctx      context.Context // of the call that is using it
}

// dial connects and logs in.
func (c Config) dial(ctx context.Context, clientID string) (*session, error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(soon, "tcp", address)
	var tcp syscall.RawConn
	if err == nil {
		tcp, err = conn.(*net.TCPConn).SyscallConn()
	}
	if err == nil && c.encrypted() {
		conn, err = c.encrypt(soon, conn, address)
	}
	if err != nil {
		if soon.Err() != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("no connection within %v", c.Timeout)
		}
		return nil, err
	}
	s := &session{conn: conn, tcp: tcp, in: bufio.NewReader(conn), protocol: v5{}, timeout: c.Timeout}
	if c.Version == V3 {
		s.protocol = v3{}
	}
	s.use(ctx)
	defer s.release()
	if err := s.login(c, clientID); err != nil {
		conn.Close() // what it says adds nothing
		return nil, err
	}
	return s, nil
}

// encrypt reads the certificates' files at each connection: they may have changed.
func (c Config) encrypt(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	cfg, err := c.TLS.Client()
	if err != nil {
		conn.Close()
		return nil, err
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	client := tls.Client(conn, cfg)
	if err := client.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return client, nil
}

func (s *session) login(c Config, clientID string) error {
	l := login{clientID: clientID, username: c.Username, keepAlive: uint16(c.KeepAlive / time.Second)}
	if c.Password != nil {
		l.password = c.Password()
	}
	s.secret = l.password
	packet, err := s.protocol.connect(l)
	if err != nil {
		return err
	}
	err = s.write(packet)
	a, readErr := s.read() // a refusal may have come before what we wrote
	if readErr == nil || err == nil {
		err = readErr
	}
	switch {
	case err != nil && !c.encrypted() && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)):
		return fmt.Errorf("closed by the broker, which may expect mqtts:// or another version: %w", err)
	case err != nil:
		return err
	case a.kind != connack:
		return fmt.Errorf("not a broker: it answers a login with a packet of type %d", a.kind)
	case a.code != 0:
		return fmt.Errorf("the broker refuses the login: %s%s", s.protocol.refusal(a.code), s.words(a))
	case a.limits.noQoS1:
		return errors.New("the broker acknowledges nothing (its highest QoS is 0): events would be lost")
	case a.limits.noRetain && c.Retain:
		return errors.New("the broker keeps no messages: leave out retain")
	}
	s.limits = a.limits
	return nil
}

// words are the broker's own, shortened, without the password.
func (s *session) words(a answer) string {
	if a.reason == "" {
		return ""
	}
	text := a.reason
	if s.secret != "" {
		text = strings.ReplaceAll(text, s.secret, "***")
	}
	return fmt.Sprintf(" (%.200q)", text)
}

// use makes ctx end what the session waits for, until release.
func (s *session) use(ctx context.Context) {
	s.ctx = ctx
	s.stop = context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) })
}

func (s *session) release() { s.stop() }

// arm allows the next operation the timeout; ctx may have ended just before.
func (s *session) arm() {
	s.conn.SetDeadline(time.Now().Add(s.timeout))
	if s.ctx.Err() != nil {
		s.conn.SetDeadline(time.Unix(1, 0))
	}
}

func (s *session) write(packets []byte) error {
	s.arm()
	_, err := s.conn.Write(packets)
	return s.told(err)
}

// hasten has the kernel confirm what it received at once. A broker that waits for that
// before it sends its next small packet, as mosquitto does, would else lose 40 ms at
// the end of every batch.
func (s *session) hasten() {
	s.tcp.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}

func (s *session) read() (answer, error) {
	s.arm()
	if s.in.Buffered() == 0 {
		s.hasten()
	}
	kind, body, err := readPacket(s.in)
	if err != nil {
		return answer{}, s.told(err)
	}
	s.used = time.Now()
	return s.protocol.parse(kind, body)
}

// told prefers why the call ended to the deadline it set.
func (s *session) told(err error) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &sink.Passing{Err: fmt.Errorf("no answer within %v", s.timeout)}
	}
	return bare(err)
}

// alive looks whether the broker has closed a connection that lay idle.
func (s *session) alive() bool {
	if time.Since(s.used) < 100*time.Millisecond {
		return true
	}
	s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := s.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded) // what comes unasked is a goodbye
}

// ping tests the connection.
func (s *session) ping() error {
	if err := s.write([]byte{pingreq << 4, 0}); err != nil {
		return err
	}
	a, err := s.read()
	if err == nil && a.kind != pingresp {
		err = fmt.Errorf("a packet of type %d answers a ping", a.kind)
	}
	return err
}

// close says goodbye, where that does not take long, and closes.
func (s *session) close(polite bool) error {
	if polite {
		s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		s.conn.Write(s.protocol.disconnect()) // the broker would find out anyway
	}
	return ignoreClosed(s.conn.Close())
}

// bare drops the addresses from an error of the network: callers name the broker.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
