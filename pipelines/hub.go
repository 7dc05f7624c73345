package pipelines

import (
	"sync"
	"sync/atomic"

	"sightline/decode"
	"sightline/detect"
	"sightline/ingest"
)

// hub fans things out to whoever watches. A slow watcher misses some and knows
// how many; it never holds anybody up.
type hub[T any] struct {
	mu   sync.Mutex
	subs map[*Subscription[T]]struct{}
	n    atomic.Int32
	lost func(T)     // gives back what a watcher had no room for; nil if there is nothing to give back
	told func(n int) // of each watcher that comes (1) and goes (-1); nil where nobody counts
}

// Subscription is one watcher's view. C is closed by Close.
type Subscription[T any] struct {
	C      <-chan T
	Missed atomic.Uint64 // things that found C full

	c   chan T
	hub *hub[T]
}

func newHub[T any](lost func(T)) *hub[T] {
	return &hub[T]{subs: map[*Subscription[T]]struct{}{}, lost: lost}
}

// watched is cheap, so that work for watchers is done only while there are some.
func (h *hub[T]) watched() bool { return h.n.Load() > 0 }

func (h *hub[T]) subscribe(buffer int) *Subscription[T] {
	c := make(chan T, buffer)
	s := &Subscription[T]{C: c, c: c, hub: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[s] = struct{}{}
	h.count(1)
	return s
}

func (h *hub[T]) count(n int) {
	h.n.Add(int32(n))
	if h.told != nil {
		h.told(n)
	}
}

// publish offers each watcher its own make() of the thing.
func (h *hub[T]) publish(make func() T) {
	if !h.watched() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		v := make()
		select {
		case s.c <- v:
		default:
			s.Missed.Add(1)
			if h.lost != nil {
				h.lost(v)
			}
		}
	}
}

// Close ends the subscription and gives back what was not taken. Call it once. One
// that was made of C alone stays its maker's to end.
func (s *Subscription[T]) Close() {
	if s.hub == nil {
		return
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.subs, s)
	s.hub.count(-1)
	close(s.c)
	if s.hub.lost != nil {
		for v := range s.c {
			s.hub.lost(v)
		}
	}
}

// watchers is what may be watched of a running stream.
type watchers struct {
	packets *hub[ingest.Packet]
	frames  *hub[*decode.Frame]
}

func newWatchers() watchers {
	return watchers{
		packets: newHub[ingest.Packet](nil),
		frames:  newHub(func(f *decode.Frame) { f.Release() }),
	}
}

func (w watchers) packet(p ingest.Packet) { w.packets.publish(func() ingest.Packet { return p }) }
func (w watchers) frame(f *decode.Frame)  { w.frames.publish(f.Retain) }

func newEventHub() *hub[*detect.Event] { return newHub[*detect.Event](nil) }
