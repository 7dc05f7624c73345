package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sightline/detect"
)

// What a sink.degraded event gives as the reason besides recovered.
const (
	unreachable  = "unreachable"  // the destination does not accept everything
	spoolFailed  = "spool_failed" // events wait in memory alone: the disk does not keep them
	spoolFull    = "spool_full"   // events are dropped for want of room on disk
	queueFull    = "queue_full"   // the same in memory, where there is no spool
	deadLettered = "dead_letter"  // events were given up
)

// DeliveryState is how one sink is doing.
type DeliveryState struct {
	Name     string
	Degraded bool      // something of Troubles
	Troubles []string  // unreachable, spool_failed, spool_full, queue_full; sorted
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

// health is what a delivery remembers of its sink. It is guarded by Delivery.mu.
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
func (d *Delivery) State() DeliveryState {
	st := d.queue.Stats()
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &d.state
	out := DeliveryState{
		Name: d.cfg.Name, Degraded: len(h.troubles) > 0, Troubles: slices.Sorted(maps.Keys(h.troubles)),
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
// that is new. It must not be called with a lock of the queue.
func (d *Delivery) turn(code string, err error) {
	d.telling.Lock()
	defer d.telling.Unlock()
	now := time.Now()
	d.mu.Lock()
	h := &d.state
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
		d.log.Warn("sink is degraded", "reason", code, "error", err, "waiting", d.waiting, "attempt", attempt)
	default:
		h.troubles[code] = trouble{err, before.warned}
	}
	if news && err == nil {
		d.log.Info("sink works again", "was", code, "waiting", d.waiting, "attempts", attempt)
	}
	d.mu.Unlock()
	if !news {
		return
	}
	told := detect.ReasonInfo{Code: detect.ReasonRecovered, Message: code}
	if err != nil {
		told = detect.ReasonInfo{Code: code, Message: err.Error(), Attempt: attempt}
	}
	d.tell(told)
}

// tell calls OnState. The caller has d.telling.
func (d *Delivery) tell(what detect.ReasonInfo) {
	if d.cfg.OnState == nil {
		return
	}
	state := d.State()
	state.Told = what
	d.cfg.OnState(state)
}

// fault is told by the queue that the disk fails, or works again. Appending goes
// on, whoever waits for what is told of it.
func (d *Delivery) fault(err error) {
	d.mu.Lock()
	d.state.fault = err
	d.mu.Unlock()
	poke(d.look)
}

// watch tells of what the queue has met, and of a disk that does not answer.
func (d *Delivery) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var dropped uint64
	var last time.Time // a drop was seen
	for {
		d.mu.Lock()
		err, now := d.state.fault, time.Now()
		if since := d.state.syncing; err == nil && !since.IsZero() && now.Sub(since) >= hungAfter {
			err = fmt.Errorf("the disk of %s has not answered for %v", d.cfg.Spool.Path, hungAfter)
		}
		if d.state.dropped > dropped {
			dropped, last = d.state.dropped, now
		}
		full := !last.IsZero() && now.Sub(last) < fullAfter
		d.mu.Unlock()
		d.turnSpool(err, full)
		d.recover()
		select {
		case <-ctx.Done():
			return
		case <-d.look:
		case <-tick.C:
		}
	}
}

func (d *Delivery) turnSpool(err error, full bool) {
	if d.has(spoolFailed) || err != nil {
		d.turn(spoolFailed, err)
	}
	code, limit := queueFull, d.cfg.Spool.Max
	if d.cfg.Spool.Path != "" {
		code = spoolFull
	}
	switch {
	case full:
		d.turn(code, fmt.Errorf("the queue is full (%d bytes): events are dropped, %s", limit, d.cfg.Spool.WhenFull))
	case d.has(code):
		d.turn(code, nil)
	}
}

func (d *Delivery) has(code string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.state.troubles[code]
	return ok
}

// poke wakes who waits for c; several pokes may become one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
