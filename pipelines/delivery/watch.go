package delivery

import (
	"context"
	"fmt"
	"time"
)

// fault is told by the spool that the disk fails, or works again. Appending goes
// on, whoever waits for what is told of it.
func (q *Queue) fault(err error) {
	q.mu.Lock()
	q.state.fault = err
	q.mu.Unlock()
	poke(q.look)
}

// watch tells of what the spool has met, and of a disk that does not answer.
func (q *Queue) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var dropped uint64
	var last time.Time // a drop was seen
	for {
		q.mu.Lock()
		err, now := q.state.fault, time.Now()
		if since := q.state.syncing; err == nil && !since.IsZero() && now.Sub(since) >= hungAfter {
			err = fmt.Errorf("the disk of %s has not answered for %v", q.cfg.Spool.Path, hungAfter)
		}
		if q.state.dropped > dropped {
			dropped, last = q.state.dropped, now
		}
		full := !last.IsZero() && now.Sub(last) < fullAfter
		q.mu.Unlock()
		q.turnSpool(err, full)
		q.recover()
		select {
		case <-ctx.Done():
			return
		case <-q.look:
		case <-tick.C:
		}
	}
}

func (q *Queue) turnSpool(err error, full bool) {
	if q.Has(SpoolFailed) || err != nil {
		q.turn(SpoolFailed, err)
	}
	code, limit := QueueFull, q.cfg.Spool.Max
	if q.cfg.Spool.Path != "" {
		code = SpoolFull
	}
	switch {
	case full:
		q.turn(code, fmt.Errorf("the queue is full (%d bytes): events are dropped, %s", limit, q.cfg.Spool.WhenFull))
	case q.Has(code):
		q.turn(code, nil)
	}
}

// poke wakes who waits for c; several pokes may become one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
