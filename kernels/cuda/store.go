//go:build cuda

package cuda

import "slices"

// store keeps the books of a device's memory, and what was freed for the next that
// asks for as much: the driver's own free waits for all work on the device.
type store struct {
	budget int64            // of what is used and cached together
	used   map[string]int64 // bytes out, by owner
	out    int64            // their sum
	cached []block          // oldest first
	cache  int64            // their bytes
}

// A block is memory of the driver's.
type block struct {
	address uint64
	bytes   int64 // that the driver was asked for
	size    int64 // blockSize of them
}

const (
	maxCached  = 64  // blocks
	cacheShare = 8   // of the budget, at most one part in so many is cached
	blockUnit  = 256 // sizes are multiples: the driver's own alignment
	cacheOwner = "cache"
)

func newStore(budget int64) store { return store{budget: budget, used: map[string]int64{}} }

// blockSize is what a request for n bytes takes.
func blockSize(n int64) int64 { return (n + blockUnit - 1) &^ (blockUnit - 1) }

// reserve counts size bytes of the owner's, unless that is over the budget.
func (s *store) reserve(owner string, size int64) bool {
	if s.out+size > s.budget {
		return false
	}
	s.out += size
	s.used[owner] += size
	return true
}

// forget takes back what reserve counted.
func (s *store) forget(owner string, size int64) {
	s.out -= size
	if s.used[owner] -= size; s.used[owner] == 0 {
		delete(s.used, owner)
	}
}

// take returns the youngest cached block that holds so many bytes and takes no more
// than they do.
func (s *store) take(bytes int64) (block, bool) {
	for i, b := range slices.Backward(s.cached) {
		if b.size == blockSize(bytes) && b.bytes >= bytes {
			s.cached = slices.Delete(s.cached, i, i+1)
			s.cache -= b.size
			return b, true
		}
	}
	return block{}, false
}

// keep caches a block.
func (s *store) keep(b block) {
	s.cached = append(s.cached, b)
	s.cache += b.size
}

// evict returns the oldest block if there is more cached than may be beside what is
// out, which counts what was reserved and is about to be asked of the driver.
func (s *store) evict() (block, bool) {
	if len(s.cached) <= maxCached && s.cache <= s.budget/cacheShare && s.out+s.cache <= s.budget {
		return block{}, false
	}
	return s.oldest()
}

// oldest returns the block that was cached first.
func (s *store) oldest() (block, bool) {
	if len(s.cached) == 0 {
		return block{}, false
	}
	b := s.cached[0]
	s.cached = slices.Delete(s.cached, 0, 1)
	s.cache -= b.size
	return b, true
}
