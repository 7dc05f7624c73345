// Package packets holds the queue between a stream's source and its decoder, which keeps a
// slow decoder from stalling a camera.
package packets

import (
	"context"
	"slices"
	"sync"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// Bounds of one queue: what a camera may be ahead of its decoder.
const (
	maxAge      = 2 * time.Second
	maxBytes    = 32 << 20
	maxLossless = 8   // packets
	maxTraces   = 512 // units, beyond which traces of what was given up are joined
)

// Reasons why the queue gives a packet up, besides that of Abandon.
const (
	full     = "queue_full"
	shutdown = "shutdown" // whose source did not wait any longer
)

// Unit is what waits for a decoder: a packet, or the news that the connection
// before it ended.
type Unit struct {
	Packet ingest.Packet
	Lost   int // packets given up in a row, Packet being the last; their data is gone, but their pictures count
	End    *detect.ReasonInfo
	Lasts  bool // it did not end: something is wrong with it
	Device bool // there is news of the GPU; nothing else is in the unit
}

func (u Unit) waits() bool { return u.End == nil && u.Lost == 0 }

// Queue stands between a source and its decoder, so that a slow decoder
// never stalls reading from a camera. A live queue that grows too old or too
// large gives up everything up to the next keyframe; a lossless one makes the
// source wait. One goroutine puts, one takes; any may do the rest.
type Queue struct {
	lossless bool
	drop     func(p ingest.Packet, reason string)

	mu       sync.Mutex
	units    []Unit
	bytes    int
	untilKey bool // everything is dropped until a keyframe comes
	closed   bool
	urgent   bool          // there is news of the GPU, which waits for nothing
	changed  chan struct{} // closed and replaced at each change
}

// New makes an empty queue. drop is told of every packet given up and why, by whoever
// calls the queue then, with its lock: it must not call the queue.
func New(lossless bool, drop func(p ingest.Packet, reason string)) *Queue {
	return &Queue{lossless: lossless, drop: drop, changed: make(chan struct{})}
}

// Put adds p. It blocks only when the queue is lossless and full.
func (q *Queue) Put(ctx context.Context, p ingest.Packet) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.lossless && len(q.units) >= maxLossless {
		if err := q.wait(ctx); err != nil {
			q.drop(p, shutdown)
			return err
		}
	}
	if !q.lossless && q.isFull(p) {
		q.shed(p.Keyframe)
		q.compact()
	}
	if q.untilKey && !p.Keyframe {
		q.drop(p, full)
		q.units = append(q.units, lost(p))
		q.compact()
		q.signal()
		return nil
	}
	q.untilKey = false
	q.units = append(q.units, Unit{Packet: p})
	q.bytes += len(p.Data)
	q.signal()
	return nil
}

// End adds the news that the connection ended, behind its packets.
func (q *Queue) End(reason detect.ReasonInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.units = append(q.units, Unit{End: &reason})
	q.compact()
	q.signal()
}

// Trouble adds the news that something is wrong with a connection that lasts.
func (q *Queue) Trouble(reason detect.ReasonInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.units = append(q.units, Unit{End: &reason, Lasts: true})
	q.compact()
	q.signal()
}

// Urge has the taker told of the GPU before anything else.
func (q *Queue) Urge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.urgent = true
	q.signal()
}

// Take removes the oldest unit, waiting for one; ok is false once the queue is
// closed and empty.
func (q *Queue) Take() (u Unit, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.units) == 0 && !q.urgent {
		if q.closed {
			return Unit{}, false
		}
		q.wait(context.Background())
	}
	if q.urgent {
		q.urgent = false
		return Unit{Device: true}, true
	}
	u = q.units[0]
	q.units[0] = Unit{}
	q.units = q.units[1:]
	q.bytes -= len(u.Packet.Data)
	q.signal()
	return u, true
}

// Close lets Take return what is left and then nothing.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// Abandon gives up all packets that wait.
func (q *Queue) Abandon(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropBefore(len(q.units), reason)
	q.units = slices.DeleteFunc(q.units, func(u Unit) bool { return u.Lost > 0 })
	q.signal()
}

// Waiting is how many packets wait, and their bytes.
func (q *Queue) Waiting() (packets, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, u := range q.units {
		if u.waits() {
			packets++
		}
	}
	return packets, q.bytes
}

func (q *Queue) isFull(p ingest.Packet) bool {
	for _, u := range q.units {
		if u.waits() {
			return q.bytes+len(p.Data) > maxBytes || p.Received.Sub(u.Packet.Received) > maxAge
		}
	}
	return false
}

// shed makes room: it keeps the newest group of pictures that begins in the
// queue, or nothing when no keyframe waits or one has just arrived.
func (q *Queue) shed(arrivedKey bool) {
	if !arrivedKey {
		for i := len(q.units) - 1; i > 0; i-- {
			if q.units[i].waits() && q.units[i].Packet.Keyframe {
				q.dropBefore(i, full)
				return
			}
		}
	}
	q.dropBefore(len(q.units), full)
	q.untilKey = true
}

// dropBefore gives up the packets in front of n. What is left of each, and the
// news among them, keeps its place.
func (q *Queue) dropBefore(n int, reason string) {
	for i, u := range q.units[:n] {
		if u.waits() {
			q.bytes -= len(u.Packet.Data)
			q.drop(u.Packet, reason)
			q.units[i] = lost(u.Packet)
		}
	}
}

func lost(p ingest.Packet) Unit {
	p.Data, p.Extradata = nil, nil
	return Unit{Packet: p, Lost: 1}
}

// compact bounds what is remembered of what was given up while nobody takes
// anything, however long: rows of packets are joined, to one that as much may build
// on, and connections of which nothing is left end with the last one.
func (q *Queue) compact() {
	if len(q.units) < maxTraces {
		return
	}
	kept := q.units[:0]
	for _, u := range q.units {
		last := len(kept) - 1
		if u.Lost > 0 && last >= 0 && kept[last].Lost > 0 && kept[last].Packet.Epoch == u.Packet.Epoch {
			before := kept[last].Packet
			u.Lost += kept[last].Lost
			u.Packet.Disposable = u.Packet.Disposable && before.Disposable
			u.Packet.Break = u.Packet.Break || before.Break
			kept[last] = u
			continue
		}
		if u.End != nil {
			for last >= 0 && kept[last].Lost > 0 {
				last--
			}
			for last >= 0 && kept[last].End != nil && (kept[last].Lasts || !u.Lasts) {
				kept = kept[:last]
				last--
			}
		}
		kept = append(kept, u)
	}
	clear(q.units[len(kept):])
	q.units = kept
}

func (q *Queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// wait releases the lock until something changes or ctx ends.
func (q *Queue) wait(ctx context.Context) error {
	c := q.changed
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
