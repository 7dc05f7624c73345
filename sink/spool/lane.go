package spool

import (
	"container/heap"
	"slices"
	"sort"
	"time"

	"sightline/sink"
)

// unsafeIndex is the bit of an entry's index that says it is not on disk: the rest
// then only tells which came first.
const unsafeIndex = 1 << 63

// entry is one waiting record. There may be millions: it is kept small.
type entry struct {
	index    uint64 // in the journal, or with unsafeIndex
	sequence uint64
	held     *held  // while the record is in memory
	offered  uint32 // seconds since 1970
	size     uint32 // bytes that it counts for
	stream   uint32 // see Queue.streams
	tries    uint16
	gone     bool // given up in the middle of its lane
}

func (e *entry) safe() bool { return e.index&unsafeIndex == 0 }

// held is a record in memory.
type held struct {
	record  sink.Record
	body    []byte // the record as it goes to disk; nil once it is there, or never does
	offered time.Time
	cost    int64
	route   *route
	level   int
	owner   *entry // where it waits; nil while it is in flight or settled
	item    *Item  // while it is in flight
	tried   bool   // was part of a batch: even where that failed it may be on disk
	settled bool   // nothing waits for it any more

	linked     bool // among those that are on disk too, the oldest first
	prev, next *held
}

// lane is a first-in-first-out queue of one route's entries of one level, by
// ascending sequence. Entries do not move once they are in it.
type lane struct {
	route  *route
	level  int
	chunks []*chunk
	count  int // without those gone
	age    age // of the head, as the heap knows it
	pos    int // in the heap; -1: not there
}

type chunk struct {
	from    int // entries before are done with
	entries []entry
}

const minChunk, maxChunk = 4, 512

// push adds e at the end and says where it is.
func (l *lane) push(e entry) *entry {
	n := len(l.chunks)
	if n == 0 || len(l.chunks[n-1].entries) == cap(l.chunks[n-1].entries) {
		size := minChunk
		if n > 0 {
			size = min(2*cap(l.chunks[n-1].entries), maxChunk)
		}
		l.chunks = append(l.chunks, &chunk{entries: make([]entry, 0, size)})
		n++
	}
	c := l.chunks[n-1]
	c.entries = append(c.entries, e)
	l.count++
	return &c.entries[len(c.entries)-1]
}

// pushFront adds e at the head and says where it is.
func (l *lane) pushFront(e entry) *entry {
	switch {
	case len(l.chunks) > 0 && len(l.chunks[0].entries) == 0: // the one kept for the next
		c := l.chunks[0]
		c.from, c.entries = cap(c.entries), c.entries[:cap(c.entries)] // not lost: it grows
	case len(l.chunks) == 0 || l.chunks[0].from == 0:
		size := minChunk
		if len(l.chunks) > 0 {
			size = cap(l.chunks[0].entries)
		}
		l.chunks = slices.Insert(l.chunks, 0, &chunk{from: size, entries: make([]entry, size)})
	}
	c := l.chunks[0]
	c.from--
	c.entries[c.from] = e
	l.count++
	return &c.entries[c.from]
}

// head is the first entry, nil when there is none.
func (l *lane) head() *entry {
	if l.count == 0 {
		return nil
	}
	return &l.chunks[0].entries[l.chunks[0].from]
}

// pop takes the head away.
func (l *lane) pop() entry {
	e := *l.head()
	l.count--
	l.advance()
	l.trim()
	return e
}

// advance leaves the first entry behind.
func (l *lane) advance() {
	c := l.chunks[0]
	c.entries[c.from] = entry{}
	if c.from++; c.from < len(c.entries) {
		return
	}
	if l.count > 0 {
		l.chunks[0] = nil
		l.chunks = l.chunks[1:] // not lost: its entries were done with
	}
}

// trim leaves entries behind that are gone, so that a head never is.
func (l *lane) trim() {
	if l.count == 0 {
		if len(l.chunks) > 0 && cap(l.chunks[0].entries) == minChunk {
			l.chunks = l.chunks[:1]                                            // not lost: nothing waits
			l.chunks[0].from, l.chunks[0].entries = 0, l.chunks[0].entries[:0] // not lost: nothing waits
		} else {
			l.chunks = nil // not lost: nothing waits
		}
		return
	}
	for l.chunks[0].entries[l.chunks[0].from].gone {
		l.advance()
	}
}

// remove marks an entry of the lane as gone.
func (l *lane) remove(e *entry) {
	e.gone, e.held = true, nil
	l.count--
	l.trim()
}

// find is the entry with the sequence, nil when there is none.
func (l *lane) find(sequence uint64) *entry {
	if l.count == 0 {
		return nil
	}
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].entries[l.chunks[i].from].sequence > sequence }) - 1
	if i < 0 {
		return nil
	}
	live := l.chunks[i].entries[l.chunks[i].from:]
	j := sort.Search(len(live), func(j int) bool { return live[j].sequence >= sequence })
	if j == len(live) || live[j].sequence != sequence || live[j].gone {
		return nil
	}
	return &live[j]
}

// tail is the last entry's sequence, gone or not; 0 when there is none.
func (l *lane) tail() uint64 {
	if l.count == 0 {
		return 0
	}
	c := l.chunks[len(l.chunks)-1]
	return c.entries[len(c.entries)-1].sequence
}

// each visits the entries in order.
func (l *lane) each(visit func(*entry)) {
	for _, c := range l.chunks {
		for i := c.from; i < len(c.entries); i++ {
			if !c.entries[i].gone {
				visit(&c.entries[i])
			}
		}
	}
}

// age orders entries of different lanes.
type age struct {
	offered uint32
	index   uint64
}

func (a age) before(b age) bool {
	if a.offered != b.offered {
		return a.offered < b.offered
	}
	return a.index < b.index
}

// laneHeap has the lane with the oldest head on top.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].age.before(h[j].age) }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	l.pos = len(*h)
	*h = append(*h, l)
}

func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.pos = -1
	return l
}

// place puts the lane where its head belongs, or takes it out when it is empty.
func (h *laneHeap) place(l *lane) {
	e := l.head()
	switch {
	case e == nil && l.pos >= 0:
		heap.Remove(h, l.pos)
	case e == nil:
	case l.pos < 0:
		l.age = age{e.offered, e.index}
		heap.Push(h, l)
	case l.age != age{e.offered, e.index}:
		l.age = age{e.offered, e.index}
		heap.Fix(h, l.pos)
	}
}
