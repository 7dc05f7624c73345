package pipelines

import (
	"maps"
	"sync"

	"sightline/detect"
)

// ledger accounts for every access unit of one stream. All its sums hold at any
// moment, because every step moves a unit from one column to another under one
// lock.
type ledger struct {
	mu        sync.Mutex
	received  uint64
	decoded   uint64
	undecoded map[string]uint64
	inferred  uint64
	skipped   map[string]uint64
}

func newLedger() *ledger {
	return &ledger{undecoded: map[string]uint64{}, skipped: map[string]uint64{}}
}

func (l *ledger) receive() { l.mu.Lock(); l.received++; l.mu.Unlock() }
func (l *ledger) decode()  { l.mu.Lock(); l.decoded++; l.mu.Unlock() }
func (l *ledger) infer()   { l.mu.Lock(); l.inferred++; l.mu.Unlock() }

// undecode counts an access unit that will never be a picture.
func (l *ledger) undecode(reason string, n uint64) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	l.undecoded[reason] += n
	l.mu.Unlock()
}

// skip counts a picture that will never be inferred.
func (l *ledger) skip(reason string) {
	l.mu.Lock()
	l.skipped[reason]++
	l.mu.Unlock()
}

// pictures is how many came out of the decoder.
func (l *ledger) pictures() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.decoded
}

// underWay is how many pictures wait for their inference.
func (l *ledger) underWay() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.decoded - l.inferred - sum(l.skipped)
}

// snapshot returns the stream's columns; the sinks' are added by the caller.
func (l *ledger) snapshot() detect.Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := detect.Ledger{
		Received: l.received, Decoded: l.decoded, Undecoded: maps.Clone(l.undecoded),
		Inferred: l.inferred, Skipped: maps.Clone(l.skipped),
		InDecoder: l.inDecoder(), Sinks: map[string]detect.SinkLedger{},
	}
	out.InFlight = l.decoded - l.inferred - sum(l.skipped)
	return out
}

func (l *ledger) inDecoder() uint64 {
	out := l.decoded + sum(l.undecoded)
	if out > l.received { // a decoder that makes two pictures of one unit
		return 0
	}
	return l.received - out
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}
