package delivery

import (
	"maps"

	"sightline/detect"
	"sightline/sink/spool"
)

// NoStream stands where an event is about no stream, or no longer tells of which: no
// stream can be called so.
const NoStream = "-"

// accounts are the sums of every stream that a queue ever heard of. The zero value is
// ready; it is guarded by Queue.mu.
type accounts struct {
	streams map[string]*account
	waiting uint64 // of all streams
}

// account is that of one stream.
type account struct {
	detect.SinkLedger // but for Spooled, which waiting is
	waiting           uint64
}

// of is a stream's account, a new one where it has none yet.
func (c *accounts) of(stream string) *account {
	a := c.streams[stream]
	if a == nil {
		if c.streams == nil {
			c.streams = map[string]*account{}
		}
		a = &account{SinkLedger: detect.SinkLedger{Dropped: map[string]uint64{}}}
		c.streams[stream] = a
	}
	return a
}

// enter notes that n more events wait.
func (c *accounts) enter(a *account, n uint64) {
	a.waiting += n
	c.waiting += n
}

// found accounts for n events of an earlier run.
func (c *accounts) found(a *account, n uint64) {
	a.Made += n
	a.Recovered += n
	c.enter(a, n)
}

// leave takes n of a stream's events out of those waiting, for another column of
// the account that it returns. What was never known to wait is of an earlier run.
func (c *accounts) leave(stream string, n uint64) *account {
	a := c.of(stream)
	c.found(a, n-min(n, a.waiting))
	a.waiting -= n
	c.waiting -= n
	return a
}

// sums is the account as others see it: a copy.
func (a *account) sums() detect.SinkLedger {
	out := a.SinkLedger
	out.Spooled, out.Dropped = a.waiting, maps.Clone(a.Dropped)
	return out
}

// recover accounts for what an earlier run left behind, as far as it is known: a
// disk that could not be read at the start may be read later.
func (q *Queue) recover() {
	found := q.spool.Stats().Recovered
	delete(found, "") // told to gone
	q.mu.Lock()
	defer q.mu.Unlock()
	var all uint64
	for name, n := range found {
		a := q.accounts.of(name)
		more := n - min(n, a.Recovered)
		q.accounts.found(a, more)
		all += more
	}
	if all > 0 {
		q.log.Info("events of an earlier run wait in the spool", "events", all, "path", q.cfg.Spool.Path)
	}
}

// gone is told by the spool what it gave up. It has the spool's lock.
func (q *Queue) gone(stream, reason string, n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if stream == "" { // what is damaged does not tell
		stream = NoStream
	}
	a := q.accounts.leave(stream, n)
	q.signal()
	if reason == spool.Expired {
		a.Expired += n
		return
	}
	a.Dropped[reason] += n
	if reason == spool.QueueFull {
		q.state.dropped += n
		poke(q.look)
	}
}

// Ledger is what became of a stream's events up to now.
func (q *Queue) Ledger(stream string) detect.SinkLedger {
	q.mu.Lock()
	defer q.mu.Unlock()
	a, ok := q.accounts.streams[stream]
	if !ok {
		return detect.SinkLedger{Dropped: map[string]uint64{}}
	}
	return a.sums()
}

// Ledgers is the account of every stream that the queue ever heard of.
func (q *Queue) Ledgers() map[string]detect.SinkLedger {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make(map[string]detect.SinkLedger, len(q.accounts.streams))
	for name, a := range q.accounts.streams {
		out[name] = a.sums()
	}
	return out
}

// Total is the account of all streams, those of an earlier run and what is about
// none included.
func (q *Queue) Total() detect.SinkLedger {
	out := detect.SinkLedger{Dropped: map[string]uint64{}}
	for _, l := range q.Ledgers() {
		out.Made += l.Made
		out.Filtered += l.Filtered
		out.Acknowledged += l.Acknowledged
		out.Spooled += l.Spooled
		out.DeadLettered += l.DeadLettered
		out.Expired += l.Expired
		out.Recovered += l.Recovered
		for reason, n := range l.Dropped {
			out.Dropped[reason] += n
		}
	}
	return out
}

// Lost is how many events were given up, of all streams.
func (q *Queue) Lost() uint64 {
	total := q.Total()
	lost := total.DeadLettered + total.Expired
	for _, n := range total.Dropped {
		lost += n
	}
	return lost
}
