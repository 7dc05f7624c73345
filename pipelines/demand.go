package pipelines

import (
	"context"
	"sync"
	"time"
)

// linger is how long a stream on demand goes on after its last watcher left: who
// changes pages comes back at once.
const linger = 10 * time.Second

// demand counts who watches a stream that is read only while somebody does. A nil
// one is always there. Its methods may be called from any goroutine.
type demand struct {
	mu      sync.Mutex
	n       int
	changed chan struct{} // closed and replaced when n becomes zero or ceases to be
}

func newDemand() *demand { return &demand{changed: make(chan struct{})} }

func (d *demand) add(n int) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.n
	d.n += n
	if (before == 0) != (d.n == 0) {
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// now tells whether somebody watches, and gives a channel that is closed when that
// changes.
func (d *demand) now() (watched bool, changed <-chan struct{}) {
	if d == nil {
		return true, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n > 0, d.changed
}

// wait returns true as soon as somebody watches, and false when ctx ends.
func (d *demand) wait(ctx context.Context) bool {
	for {
		watched, changed := d.now()
		if watched {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
