package webrtc

import (
	"errors"
	"net"
	"sync"
	"time"
)

// acceptPause is how long to wait when the system has no descriptor left.
const acceptPause = 50 * time.Millisecond

// bounded is a listener with room for so many connections at a time; others are
// closed at once. It goes on after passing faults, and takes its connections with
// it when it closes.
type bounded struct {
	net.Listener
	most int

	mu     sync.Mutex
	seated map[*seated]struct{} // nil after the end
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, most: most, seated: map[*seated]struct{}{}}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			time.Sleep(acceptPause)
			continue
		}
		s := &seated{Conn: conn, at: b}
		if b.seat(s) {
			return s, nil
		}
		conn.Close()
	}
}

func (b *bounded) seat(s *seated) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seated == nil || len(b.seated) >= b.most {
		return false
	}
	b.seated[s] = struct{}{}
	return true
}

// Close implements net.Listener.
func (b *bounded) Close() error {
	err := b.Listener.Close()
	b.mu.Lock()
	there := b.seated
	b.seated = nil
	b.mu.Unlock()
	for s := range there {
		s.Conn.Close()
	}
	return err
}

// seated is a connection that has a place until it is closed.
type seated struct {
	net.Conn
	at *bounded
}

func (s *seated) Close() error {
	s.at.mu.Lock()
	delete(s.at.seated, s)
	s.at.mu.Unlock()
	return s.Conn.Close()
}
