package spool

import "time"

const (
	retryAfter = time.Second // between attempts to write to a disk that failed
	writeBytes = 512 << 10   // about, in one Append to the journal, whose buffer that fits
)

// Sync puts on disk what was appended and settled before. It waits for the disk,
// holding nobody else up. After a failure it tries again once a second at most, and
// the queue goes on in memory meanwhile. The error is why what was appended is not
// on disk.
func (q *Queue) Sync() error {
	if q.disk == nil {
		return nil
	}
	q.disk.turn <- struct{}{}
	defer func() { <-q.disk.turn }()
	return q.write()
}

// commit is Sync for one record; another's Sync may have done it meanwhile.
func (q *Queue) commit(h *held) {
	q.disk.turn <- struct{}{}
	defer func() { <-q.disk.turn }()
	q.mu.Lock()
	done := h.settled || h.body == nil
	q.mu.Unlock()
	if !done {
		q.write() // its error is told by Stats and Fault
	}
}

// write is Sync for who has the turn.
func (q *Queue) write() error {
	defer q.disk.measure()
	if err := q.again(); err != nil {
		return err
	}
	q.mu.Lock()
	b := q.batch()
	q.mu.Unlock()
	err := q.compact(b.bytes)
	if err == nil {
		err = q.store(b)
	}
	if err != nil {
		return q.failed(err, b)
	}
	q.mu.Lock()
	q.stored(b)
	was := q.err
	q.err = nil
	q.mu.Unlock()
	if was != nil {
		q.log.Info("the disk keeps records again", "path", q.cfg.Path)
		q.cfg.Fault(nil)
	}
	if _, err := q.release(false); err != nil {
		return q.failed(err, &batch{})
	}
	return nil
}

// again makes the journal usable again after a failure, once a second at most.
func (q *Queue) again() error {
	q.mu.Lock()
	err, now := q.err, q.cfg.Now()
	wait := err != nil && now.Before(q.disk.retry)
	q.mu.Unlock()
	if err == nil || wait {
		return err
	}
	if q.disk.journal == nil {
		err = q.openJournal()
	} else {
		err = q.disk.journal.Recover()
	}
	if err != nil {
		return q.failed(err, &batch{})
	}
	return nil
}

// failed takes back what could not be written, and lets everything leave that is
// in memory alone.
func (q *Queue) failed(err error, b *batch) error {
	q.mu.Lock()
	now := q.cfg.Now()
	q.takeBack(b)
	was := q.err
	q.err, q.disk.retry = err, now.Add(retryAfter)
	for _, h := range q.disk.pending {
		if !h.settled {
			q.enlist(h.route, now)
		}
	}
	before := q.firmBefore()
	q.mu.Unlock()
	if was == nil {
		q.log.Error("the disk keeps no records: going on in memory", "path", q.cfg.Path, "error", err)
		q.cfg.Fault(err)
	}
	if q.disk.journal == nil {
		return err
	}
	// Room on a full disk that is to be had without writing.
	if err := q.disk.journal.Release(before); err != nil {
		q.log.Debug("release files of a failed journal", "path", q.cfg.Path, "error", err)
	}
	return err
}

// firmBefore is the index before which the journal tells of nothing that waits, nor
// of a number that it does not tell of later too. Locked.
func (q *Queue) firmBefore() uint64 {
	before := q.disk.sweep() << q.disk.bits
	for _, r := range q.routes {
		if r.noted > 0 {
			before = min(before, r.noted)
		}
	}
	return before
}
