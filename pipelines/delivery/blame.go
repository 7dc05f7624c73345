package delivery

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"sightline/sink"
)

// blame tells a destination that is away from events that it fails on. An event is
// poisoned when it fails again and again while others get through. It belongs to the
// delivering goroutine.
type blame struct {
	tries   int                        // failures that poison an event; 0: none does
	passed  uint64                     // attempts in which something got through
	failing map[sink.Route]*keyFailure // by key
	careful int                        // events yet to be tried alone, to find the one that fails
}

// keyFailure is what is known of a key whose oldest event does not get through.
type keyFailure struct {
	id     string    // of that event
	row    int       // attempts in a row that failed
	tries  int       // those of them between which others got through
	passed uint64    // blame.passed after the last of them
	until  time.Time // not tried before
}

// staleAfter is when a failing key is forgotten of which nothing more is heard: what
// failed has made room, or grown too old.
const staleAfter = 2 * time.Minute

func newBlame(tries int) *blame {
	return &blame{tries: tries, failing: map[sink.Route]*keyFailure{}}
}

// keyOf is the key among whose records order is kept.
func keyOf(r sink.Record) sink.Route { return sink.Route{Topic: r.Topic, Key: r.PartitionKey()} }

// batch is how many events to try together, at most limit.
func (b *blame) batch(limit int) int {
	if b.careful > 0 {
		return 1
	}
	return limit
}

// tried notes an attempt with n events, whether any got through, and whether those
// that failed may be at fault. Accept and fail say more of it.
func (b *blame) tried(n int, through, suspicious bool) {
	switch {
	case n == 1:
		b.careful = max(0, b.careful-1)
	case !through && suspicious:
		b.careful = n
	}
	if through {
		b.passed++
	}
}

// accept notes that an event got through, or was given up.
func (b *blame) accept(r sink.Record) { delete(b.failing, keyOf(r)) }

// fail notes that r, the oldest of its key in this attempt, failed. Suspicious says
// that it may be at fault, alone that no other event can be. It returns the failures
// of the key in a row, and whether the event is to be given up.
func (b *blame) fail(r sink.Record, through, suspicious, alone bool) (f *keyFailure, poisoned bool) {
	key := keyOf(r)
	f = b.failing[key]
	if f == nil || f.id != r.Event.ID {
		f = &keyFailure{id: r.Event.ID, passed: b.passed}
		if through {
			f.passed-- // in this very attempt
		}
		b.failing[key] = f
	}
	f.row++
	if suspicious && b.passed > f.passed {
		f.tries++
	}
	f.passed = b.passed
	return f, suspicious && alone && b.tries > 0 && f.tries >= b.tries
}

// held is how many keys are being held back.
func (b *blame) held(now time.Time) (n int) {
	for key, f := range b.failing {
		if now.Sub(f.until) > staleAfter {
			delete(b.failing, key)
		} else if f.until.After(now) {
			n++
		}
	}
	return n
}

// guiltless tells whether err is about the destination and cannot be about an event:
// nobody was reached, nobody answered, or it asks for time.
func guiltless(err error) bool {
	var wait *sink.RetryAfter
	var dial *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &wait), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &dial) && dial.Op == "dial":
		return true
	case sink.IsPassing(err):
		return true
	}
	return errors.As(err, &timeout) && timeout.Timeout()
}
