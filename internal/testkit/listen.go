package testkit

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Listen serves every connection to a port of loopback in a goroutine of its own and
// returns the address. When the test ends, the connections are closed and waited for.
func Listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ended, end := context.WithCancel(context.Background())
	t.Cleanup(func() {
		l.Close()
		end()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ended, func() { conn.Close() })()
				serve(conn)
			})
		}
	})
	return l.Addr().String()
}
