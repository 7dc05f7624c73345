package pipelines

import (
	"context"
	"slices"
	"sync"
	"time"

	"sightline/detect"
	"sightline/ingest"
)

// Bounds of one stream's packet queue: what a camera may be ahead of its decoder.
const (
	queueAge      = 2 * time.Second
	queueBytes    = 32 << 20
	queueLossless = 8   // packets, at pace fastest
	queueTraces   = 512 // units, beyond which traces of what was given up are joined
)

// unit is what waits for a decoder: a packet, or the news that the connection
// before it ended.
type unit struct {
	packet ingest.Packet
	lost   int // packets given up in a row, packet being the last; their data is gone, but their pictures count
	end    *detect.ReasonInfo
	lasts  bool // it did not end: something is wrong with it
	device bool // there is news of the GPU; nothing else is in the unit
}

func (u unit) waits() bool { return u.end == nil && u.lost == 0 }

// packetQueue stands between a source and its decoder, so that a slow decoder
// never stalls reading from a camera. A live queue that grows too old or too
// large gives up everything up to the next keyframe; a lossless one makes the
// source wait. One goroutine puts, one takes.
type packetQueue struct {
	lossless bool
	drop     func(p ingest.Packet, reason string) // told of every packet given up

	mu       sync.Mutex
	units    []unit
	bytes    int
	untilKey bool // everything is dropped until a keyframe comes
	closed   bool
	urgent   bool          // there is news of the GPU, which waits for nothing
	changed  chan struct{} // closed and replaced at each change
}

func newPacketQueue(lossless bool, drop func(ingest.Packet, string)) *packetQueue {
	return &packetQueue{lossless: lossless, drop: drop, changed: make(chan struct{})}
}

// put adds p. It blocks only when the queue is lossless and full.
func (q *packetQueue) put(ctx context.Context, p ingest.Packet) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.lossless && len(q.units) >= queueLossless {
		if err := q.wait(ctx); err != nil {
			q.drop(p, shutdown)
			return err
		}
	}
	if !q.lossless && q.full(p) {
		q.shed(p.Keyframe)
		q.compact()
	}
	if q.untilKey && !p.Keyframe {
		q.drop(p, "queue_full")
		q.units = append(q.units, lost(p))
		q.compact()
		q.signal()
		return nil
	}
	q.untilKey = false
	q.units = append(q.units, unit{packet: p})
	q.bytes += len(p.Data)
	q.signal()
	return nil
}

// end adds the news that the connection ended, behind its packets.
func (q *packetQueue) end(reason detect.ReasonInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.units = append(q.units, unit{end: &reason})
	q.compact()
	q.signal()
}

// trouble adds the news that something is wrong with a connection that lasts.
func (q *packetQueue) trouble(reason detect.ReasonInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.units = append(q.units, unit{end: &reason, lasts: true})
	q.compact()
	q.signal()
}

// urge has the taker told of the GPU before anything else.
func (q *packetQueue) urge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.urgent = true
	q.signal()
}

// take removes the oldest unit, waiting for one; ok is false once the queue is
// closed and empty.
func (q *packetQueue) take() (u unit, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.units) == 0 && !q.urgent {
		if q.closed {
			return unit{}, false
		}
		q.wait(context.Background())
	}
	if q.urgent {
		q.urgent = false
		return unit{device: true}, true
	}
	u = q.units[0]
	q.units[0] = unit{}
	q.units = q.units[1:]
	q.bytes -= len(u.packet.Data)
	q.signal()
	return u, true
}

// close lets take return what is left and then nothing.
func (q *packetQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// abandon gives up all packets that wait.
func (q *packetQueue) abandon(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropBefore(len(q.units), reason)
	q.units = slices.DeleteFunc(q.units, func(u unit) bool { return u.lost > 0 })
	q.signal()
}

// waiting is how many packets wait, and their bytes.
func (q *packetQueue) waiting() (packets, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, u := range q.units {
		if u.waits() {
			packets++
		}
	}
	return packets, q.bytes
}

func (q *packetQueue) full(p ingest.Packet) bool {
	for _, u := range q.units {
		if u.waits() {
			return q.bytes+len(p.Data) > queueBytes || p.Received.Sub(u.packet.Received) > queueAge
		}
	}
	return false
}

// shed makes room: it keeps the newest group of pictures that begins in the
// queue, or nothing when no keyframe waits or one has just arrived.
func (q *packetQueue) shed(arrivedKey bool) {
	if !arrivedKey {
		for i := len(q.units) - 1; i > 0; i-- {
			if q.units[i].waits() && q.units[i].packet.Keyframe {
				q.dropBefore(i, "queue_full")
				return
			}
		}
	}
	q.dropBefore(len(q.units), "queue_full")
	q.untilKey = true
}

// dropBefore gives up the packets in front of n. What is left of each, and the
// news among them, keeps its place.
func (q *packetQueue) dropBefore(n int, reason string) {
	for i, u := range q.units[:n] {
		if u.waits() {
			q.bytes -= len(u.packet.Data)
			q.drop(u.packet, reason)
			q.units[i] = lost(u.packet)
		}
	}
}

func lost(p ingest.Packet) unit {
	p.Data, p.Extradata = nil, nil
	return unit{packet: p, lost: 1}
}

// compact bounds what is remembered of what was given up while nobody takes
// anything, however long: rows of packets are joined, to one that as much may build
// on, and connections of which nothing is left end with the last one.
func (q *packetQueue) compact() {
	if len(q.units) < queueTraces {
		return
	}
	kept := q.units[:0]
	for _, u := range q.units {
		last := len(kept) - 1
		if u.lost > 0 && last >= 0 && kept[last].lost > 0 && kept[last].packet.Epoch == u.packet.Epoch {
			before := kept[last].packet
			u.lost += kept[last].lost
			u.packet.Disposable = u.packet.Disposable && before.Disposable
			u.packet.Break = u.packet.Break || before.Break
			kept[last] = u
			continue
		}
		if u.end != nil {
			for last >= 0 && kept[last].lost > 0 {
				last--
			}
			for last >= 0 && kept[last].end != nil && (kept[last].lasts || !u.lasts) {
				kept = kept[:last]
				last--
			}
		}
		kept = append(kept, u)
	}
	clear(q.units[len(kept):])
	q.units = kept
}

func (q *packetQueue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// wait releases the lock until something changes or ctx ends.
func (q *packetQueue) wait(ctx context.Context) error {
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
