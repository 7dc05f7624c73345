package spool

import "time"

// expireAtOnce is how many records one call gives up for their age: after a long
// stop there may be millions.
const expireAtOnce = 256

// fits tells whether a record may join without another leaving. An empty queue
// takes any. Locked.
func (q *Queue) fits(size, cost int64) bool {
	return (q.events == 0 || q.bytes+size <= q.limit) && (q.disk == nil || q.fitsMemory(cost))
}

// makeRoom gives up waiting records until one of that size and level fits; false
// when it cannot, because what is left is in flight or more severe. Locked.
func (q *Queue) makeRoom(size, cost int64, level int) bool {
	for q.events > 0 && q.bytes+size > q.limit {
		victim := q.victim()
		if victim == nil || victim.level > level {
			return false
		}
		q.drop(victim, QueueFull)
	}
	return q.disk == nil || q.makeRoomInMemory(cost, level)
}

// victim is the lane whose head gives way first. Locked.
func (q *Queue) victim() *lane {
	for level := range q.oldest {
		if len(q.oldest[level]) > 0 {
			return q.oldest[level][0]
		}
	}
	return nil
}

// expire gives up at most n records that waited for too long. Locked.
func (q *Queue) expire(now time.Time, n int) {
	for level := range q.oldest {
		for ; n > 0 && len(q.oldest[level]) > 0; n-- {
			in := q.oldest[level][0]
			if !q.expired(in.head(), now) {
				break
			}
			q.drop(in, Expired)
		}
	}
}

func (q *Queue) expired(e *entry, now time.Time) bool {
	return q.cfg.MaxAge > 0 && now.Sub(time.Unix(int64(e.offered), 0)) > q.cfg.MaxAge
}

// drop gives up the head of a lane. Locked.
func (q *Queue) drop(in *lane, reason string) {
	e := in.pop()
	q.oldest[in.level].place(in)
	q.giveUp(e.stream, reason)
	q.leave(in.route, &e)
}

// leave takes a record, which is in no lane any more, out of the account. Locked.
func (q *Queue) leave(r *route, e *entry) {
	q.events--
	q.bytes -= int64(e.size)
	if r.count--; r.count == 0 {
		q.keys--
	}
	if q.disk != nil {
		q.settled(r, e)
	}
	q.vacate(r)
	q.madeRoom()
	if q.closed && q.events == 0 {
		q.wakeNext()
	}
}

// giveUp counts a record that nobody will see. Locked.
func (q *Queue) giveUp(stream uint32, reason string) {
	q.cfg.Gone(q.streams[stream], reason, 1)
	q.dropped++
	if now := q.cfg.Now(); now.Sub(q.logged) >= 10*time.Second {
		q.log.Warn("records given up", "reason", reason, "records", q.dropped, "limit_bytes", q.limit)
		q.logged, q.dropped = now, 0
	}
}
