// Package spool is the queue in front of a destination: it numbers events, keeps
// them until the destination has acknowledged them, in memory or besides on disk,
// and says of every one that it gives up why. It starts no goroutine: its owner
// appends, commits and delivers.
//
// On disk a record is written once, by Sync, and then may leave; what was settled is
// written by the next Sync, so that a crash repeats a few records with the same ids
// and loses none. Numbers go on over restarts without a gap, but where records were
// given up. Three limits: numbers are remembered of 65,536 routes beside those with
// waiting records (fewer where Max is below 64 MiB), the least recently used begin
// again at 1; while the disk fails records leave from memory, and if the process is
// killed before it works again, their numbers are given again; and where the disk
// cannot even be read at the start, numbers begin at the time in microseconds.
package spool

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"sightline/detect"
	"sightline/sink"
)

// ErrClosed is Append's error after Close.
var ErrClosed = errors.New("queue is closed")

// Queue is the records that wait for one destination, in order per route. Append
// is called from any goroutines, Next and Settle from one, Sync from one besides.
type Queue struct {
	cfg     Config
	log     *slog.Logger
	limit   int64 // most bytes waiting
	maxIdle int
	disk    *disk // nil: in memory alone
	dirty   chan struct{}
	wake    chan struct{} // Next looks again

	scratch sync.Pool // of *[]byte, to encode in

	mu      sync.Mutex
	closed  bool
	ended   bool // Release was called
	routes  map[sink.Route]*route
	idle    *list.List          // of *route, the most recently used first
	keys    int                 // routes not idle
	flying  map[*route]struct{} // those with records in flight
	oldest  []laneHeap          // by level
	ready   []*route            // in turn
	later   laterHeap
	events  int   // waiting, those in flight included
	bytes   int64 // of those
	order   uint64
	base    uint64   // numbers of new routes begin behind it
	streams []string // by entry.stream
	interns map[string]uint32
	room    chan struct{} // closed when something left; nil when nobody waits for it
	err     error         // why the disk does not keep records

	recovered map[string]uint64
	dropped   uint64    // since the last log line of it
	logged    time.Time // when that was
}

// Open makes a queue and, with a Path, takes up what waits there. It reads the
// whole journal once: some seconds for millions of records. A damaged disk is no
// error: the queue then works in memory and says so.
func Open(cfg Config, log *slog.Logger) (*Queue, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	levels := 1
	if cfg.WhenFull == DropLowestSeverity {
		levels = 3
	}
	q := &Queue{
		cfg: cfg, log: log, limit: cfg.Max, maxIdle: maxIdle,
		dirty: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		routes: map[sink.Route]*route{}, flying: map[*route]struct{}{}, idle: list.New(), oldest: make([]laneHeap, levels),
		interns: map[string]uint32{}, recovered: map[string]uint64{},
	}
	if cfg.Path != "" {
		if err := q.openDisk(); err != nil {
			return nil, fmt.Errorf("open queue: %w", err)
		}
	}
	return q, nil
}

// Stats is how a queue is doing.
type Stats struct {
	Events   int       // waiting, those in flight included
	Bytes    int64     // of those
	Disk     int64     // bytes of files
	Unsynced int       // of Events, those not on disk; 0 without a Path
	Oldest   time.Time // when the first of Events was appended, to the second; zero when there is none
	Keys     int       // routes with waiting records
	Err      error     // why the disk does not keep records, or give them back; nil when it does
	// Recovered is what was found waiting, by stream: by Open, or by a later Sync
	// where the disk could not be read before. What was found damaged is there too,
	// as of stream "", and was told to Gone.
	Recovered map[string]uint64
}

// Stats tells how the queue is doing.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	st := Stats{Events: q.events, Bytes: q.bytes, Keys: q.keys, Recovered: maps.Clone(q.recovered)}
	if d := q.disk; d != nil {
		st.Unsynced, st.Err = d.count, cmp.Or(q.err, d.unread)
		st.Disk = d.bytes.Load()
	}
	first := uint32(1<<32 - 1)
	for level := range q.oldest {
		if len(q.oldest[level]) > 0 {
			first = min(first, q.oldest[level][0].age.offered)
		}
	}
	for r := range q.flying {
		first = min(first, r.flight[0].entry.offered)
	}
	if q.events > 0 {
		st.Oldest = time.Unix(int64(first), 0)
	}
	return st
}

// Dirty receives when there is something for Sync to do.
func (q *Queue) Dirty() <-chan struct{} { return q.dirty }

// Close ends Append; Next hands out what is left.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wakeNext()
	q.madeRoom()
	return nil
}

// Release puts on disk what it can and gives the files back: Append and Next fail
// from now on. It says how many records of each stream are lost with the queue,
// those that are not on disk. It is called once, last, when no other call runs.
func (q *Queue) Release() (lost map[string]uint64, err error) {
	q.mu.Lock()
	q.closed, q.ended = true, true
	q.mu.Unlock()
	if d := q.disk; d != nil {
		d.retry = time.Time{}
		err = q.Sync()
		if d.journal != nil {
			err = cmp.Or(err, d.journal.Close())
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	lost = map[string]uint64{}
	count := func(e *entry) {
		if !e.safe() {
			lost[q.streams[e.stream]]++
		}
	}
	for r := range q.flying {
		for _, it := range r.flight {
			count(&it.entry)
		}
	}
	for _, lanes := range q.oldest {
		for _, in := range lanes {
			in.each(count)
		}
	}
	q.wakeNext()
	q.madeRoom()
	return lost, err
}

func (q *Queue) wakeNext() { signal(q.wake) }

// signal tells whoever waits for c; several signals may become one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// madeRoom wakes the Appends that wait. Locked.
func (q *Queue) madeRoom() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// level sorts severities for DropLowestSeverity.
func (q *Queue) level(s detect.Severity) int {
	switch {
	case len(q.oldest) == 1 || s < detect.Warning:
		return 0
	case s < detect.Critical:
		return 1
	}
	return 2
}

// intern is the number of a stream's name. Locked.
func (q *Queue) intern(stream string) uint32 {
	n, ok := q.interns[stream]
	if !ok {
		n = uint32(len(q.streams))
		q.streams = append(q.streams, stream)
		q.interns[stream] = n
	}
	return n
}
