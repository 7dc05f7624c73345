package pipelines

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sightline/kernels/cuda"
)

// lostDevice is a GPU that is lost from the beginning, and notes that it was closed.
type lostDevice struct {
	fakeDevice
	closed chan string
	name   string
}

func (d lostDevice) Err() error   { return cuda.ErrLost }
func (d lostDevice) Close() error { d.closed <- d.name; return nil }

// TestTheEndDoesNotWaitForAGPU that takes minutes to be opened again. What is left is
// closed when it is there; what is there within seconds is waited for.
func TestTheEndDoesNotWaitForAGPU(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration // to open
		fails error
		waits time.Duration
		back  bool
	}{
		{"minutes", 10 * time.Minute, nil, leaveAfter, false},
		{"minutes for nothing", 10 * time.Minute, errors.New("broken"), leaveAfter, false},
		{"a second", time.Second, nil, time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := make(chan string, 2)
				opening := make(chan struct{})
				g := &gpu{log: slog.New(slog.DiscardHandler), device: lostDevice{closed: closed, name: "lost"}}
				g.open = func(cuda.Config) (cuda.Device, error) {
					close(opening)
					time.Sleep(c.takes)
					if c.fails != nil {
						return nil, c.fails
					}
					return lostDevice{closed: closed, name: "back"}, nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				over := make(chan bool)
				go func() { over <- g.recover(ctx) }()
				<-opening
				cancel()
				began := time.Now()
				if back := <-over; back != c.back || time.Since(began) != c.waits {
					t.Errorf("back %v, after %v", back, time.Since(began))
				}
				if g.current() != nil != c.back {
					t.Errorf("the device is %v", g.current())
				}
				time.Sleep(c.takes)
				synctest.Wait()
				if err := g.close(); err != nil {
					t.Error(err)
				}
				want := []string{"lost", "back"}
				if c.fails != nil {
					want = want[:1]
				}
				for _, name := range want {
					if got := <-closed; got != name {
						t.Errorf("%s was closed, want %s", got, name)
					}
				}
			})
		})
	}
}
