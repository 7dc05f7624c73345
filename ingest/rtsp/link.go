package rtsp

import (
	"context"
	"net"
	"sync"
	"time"
)

// link is the TCP connection to a camera. It ends reads and writes that the
// library does not bound, such as those of a TLS handshake.
type link struct {
	net.Conn
	mu    sync.Mutex
	until time.Time // end of all writing; zero while the session lives
}

// SetWriteDeadline implements net.Conn.
func (l *link) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.until.IsZero() && (t.IsZero() || t.After(l.until)) {
		t = l.until
	}
	return l.Conn.SetWriteDeadline(t)
}

// part ends reading now, and writing after what a farewell takes.
func (l *link) part() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(farewell)
	_ = l.Conn.SetReadDeadline(time.Now()) // these fail on closed connections only
	_ = l.Conn.SetWriteDeadline(l.until)
}

// links are the connections of one session: one, and another after each
// redirect.
type links struct {
	mu     sync.Mutex
	latest *link
	parted bool
}

// dial opens a connection that part will end.
func (s *links) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = &link{Conn: conn}
	if s.parted {
		s.latest.part()
	}
	return s.latest, nil
}

func (s *links) part() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parted = true
	if s.latest != nil {
		s.latest.part()
	}
}
