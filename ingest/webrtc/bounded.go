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
// closed at once. It goes on after passing faults.
type bounded struct {
	net.Listener
	room chan struct{}
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
		select {
		case b.room <- struct{}{}:
			return &seated{Conn: conn, leave: sync.OnceFunc(func() { <-b.room })}, nil
		default:
			conn.Close()
		}
	}
}

// seated is a connection that has a place until it is closed.
type seated struct {
	net.Conn
	leave func()
}

func (s *seated) Close() error {
	defer s.leave()
	return s.Conn.Close()
}
