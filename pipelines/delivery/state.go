package delivery

import (
	"errors"
	"maps"
	"slices"
	"time"

	"sightline/detect"
)

// Troubles, which a sink.degraded event gives as the reason; the last is none that
// lasts.
const (
	Unreachable  = "unreachable"  // the destination does not accept everything
	SpoolFailed  = "spool_failed" // events wait in memory alone: the disk does not keep them
	SpoolFull    = "spool_full"   // events are dropped for want of room on disk
	QueueFull    = "queue_full"   // the same in memory, where there is no spool
	DeadLettered = "dead_letter"  // events were given up
)

// State is how one sink is doing.
type State struct {
	Name     string
	Degraded bool      // something of Troubles
	Troubles []string  // Unreachable, SpoolFailed, SpoolFull, QueueFull; sorted
	Since    time.Time // when that began, or ended; zero before the first attempt
	Err      error     // why, while degraded
	Attempt  int       // attempts in a row in which nothing got through

	Events      int           // waiting
	Bytes       int64         // of those
	Disk        int64         // bytes of the spool's files
	Unsynced    int           // waiting in memory alone, of a spool
	Oldest      time.Time     // when the first of those waiting was offered; zero when none is
	Held        int           // keys held back because their oldest event failed
	DeadLetters uint64        // events given up as undeliverable
	LastAck     time.Duration // from offer to acceptance, of the oldest event of the last batch

	Told detect.ReasonInfo // what OnState is called about
}

// health is what a queue remembers of its sink. It is guarded by Queue.mu.
type health struct {
	troubles map[string]trouble
	since    time.Time
	attempt  int
	held     int
	lastAck  time.Duration
	dead     uint64

	fault   error     // of the disk
	syncing time.Time // when the sync began that is under way; zero when none is
	dropped uint64    // by a full queue
}

type trouble struct {
	err    error
	warned time.Time // last log line of it
}

const (
	remindAfter = 5 * time.Minute  // between log lines of what goes on
	fullAfter   = time.Minute      // without a drop a queue is no longer called full
	hungAfter   = 10 * time.Second // of a sync, the disk is said to have failed
)

// State tells how the sink is doing.
func (q *Queue) State() State {
	st := q.spool.Stats()
	q.mu.Lock()
	defer q.mu.Unlock()
	h := &q.state
	out := State{
		Name: q.cfg.Name, Degraded: len(h.troubles) > 0, Troubles: slices.Sorted(maps.Keys(h.troubles)),
		Since: h.since, Attempt: h.attempt, Events: st.Events, Bytes: st.Bytes, Disk: st.Disk, Unsynced: st.Unsynced,
		Oldest: st.Oldest, Held: h.held, DeadLetters: h.dead, LastAck: h.lastAck,
	}
	var errs []error
	for _, code := range out.Troubles {
		errs = append(errs, h.troubles[code].err)
	}
	if len(errs) == 1 {
		out.Err = errs[0]
	} else {
		out.Err = errors.Join(errs...)
	}
	return out
}

// turn notes that something fails, or with nil that it works, and tells of it when
// that is new. It must not be called with a lock of the spool.
func (q *Queue) turn(code string, err error) {
	q.telling.Lock()
	defer q.telling.Unlock()
	now := time.Now()
	q.mu.Lock()
	h := &q.state
	before, was := h.troubles[code]
	news := was != (err != nil)
	if news || h.since.IsZero() {
		h.since = now
	}
	attempt := h.attempt
	switch {
	case err == nil:
		delete(h.troubles, code)
	case news || now.Sub(before.warned) >= remindAfter:
		if h.troubles == nil {
			h.troubles = map[string]trouble{}
		}
		h.troubles[code] = trouble{err, now}
		q.log.Warn("sink is degraded", "reason", code, "error", err, "waiting", q.accounts.waiting, "attempt", attempt)
	default:
		h.troubles[code] = trouble{err, before.warned}
	}
	if news && err == nil {
		q.log.Info("sink works again", "was", code, "waiting", q.accounts.waiting, "attempts", attempt)
	}
	q.mu.Unlock()
	if !news {
		return
	}
	told := detect.ReasonInfo{Code: detect.ReasonRecovered, Message: code}
	if err != nil {
		told = detect.ReasonInfo{Code: code, Message: err.Error(), Attempt: attempt}
	}
	q.tell(told)
}

// tell calls OnState. The caller has q.telling.
func (q *Queue) tell(what detect.ReasonInfo) {
	if q.cfg.OnState == nil {
		return
	}
	state := q.State()
	state.Told = what
	q.cfg.OnState(state)
}

// Has tells whether the sink suffers from a trouble: Unreachable and so on.
func (q *Queue) Has(code string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, ok := q.state.troubles[code]
	return ok
}
