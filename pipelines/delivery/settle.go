package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sightline/sink"
	"sightline/sink/spool"
)

// conclude ends an attempt: what was accepted leaves, what never will be becomes a
// dead letter, the rest goes back to the head of its key. It returns how long to
// leave the destination alone.
func (q *Queue) conclude(ctx context.Context, items []*spool.Item, err error) (pause time.Duration) {
	a := &attempt{items: items, err: err, now: time.Now(), held: map[sink.Route]*keyFailure{}}
	a.sort()
	if ctx.Err() != nil && !a.through {
		q.spool.Settle(items, a.fates, 0)
		return 0
	}
	q.condemn(a)
	q.bury(a)
	q.book(a)
	pause = q.giveBack(a)
	q.judge(a)
	if len(a.acked) > 0 && q.cfg.OnAck != nil {
		q.cfg.OnAck(a.acked, a.now)
	}
	return pause
}

// condemn finds out which of the events that failed are poisoned, and makes dead
// letters of them and of those refused.
func (q *Queue) condemn(a *attempt) {
	suspicious := a.err != nil && !guiltless(a.err)
	q.blame.tried(len(a.items), a.through, suspicious)
	for i, it := range a.items {
		key := keyOf(it.Record)
		_, failed := a.held[key]
		switch a.fates[i] {
		case spool.Again:
			if failed {
				continue // not lost: it goes back behind one that failed
			}
			f, poisoned := q.blame.fail(it.Record, a.through, suspicious, a.named || len(a.items) == 1)
			a.held[key] = f
			if poisoned {
				a.fates[i] = spool.Dead
				a.again--
				q.blame.accept(it.Record)
				a.held[key] = nil // the next of the key at once
				a.letter(q, it, fmt.Errorf("failed while others got through: %w", a.err))
			}
		case spool.Dead:
			a.letter(q, it, a.why(i))
			fallthrough
		default:
			if !failed {
				q.blame.accept(it.Record)
			}
		}
	}
}

// book moves the events that are done with to their columns.
func (q *Queue) book(a *attempt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, it := range a.items {
		switch a.fates[i] {
		case spool.Done:
			q.accounts.leave(it.Event.Stream, 1).Acknowledged++
		case spool.Dead:
			q.accounts.leave(it.Event.Stream, 1).DeadLettered++
			q.state.dead++
		}
	}
	if len(a.acked) > 0 {
		q.state.lastAck = a.now.Sub(a.oldest)
	}
	switch {
	case a.again == 0:
		q.state.attempt = 0
	case a.through:
		q.state.attempt = 1 // no reason to wait longer and longer
	default:
		q.state.attempt++
	}
	q.signal()
}

// giveBack settles with the spool. Where something got through only the keys are
// held back of which something failed; where nothing did, the destination is left
// alone, unless it may be the fault of the one key tried.
func (q *Queue) giveBack(a *attempt) (pause time.Duration) {
	var wait *sink.RetryAfter
	if errors.As(a.err, &wait) {
		pause = min(wait.After, maxRetryAfter)
	}
	q.mu.Lock()
	row := q.state.attempt
	q.mu.Unlock()
	if a.again == 0 {
		q.spool.Settle(a.items, a.fates, 0)
		return pause
	}
	if !a.through && !(row == 1 && len(a.held) == 1) {
		q.spool.Settle(a.items, a.fates, 0)
		return max(pause, q.backoff(row))
	}
	rest, fates := a.items[:0:0], a.fates[:0:0]
	back := map[sink.Route][]*spool.Item{}
	for i, it := range a.items {
		key := keyOf(it.Record)
		if a.fates[i] == spool.Again && a.held[key] != nil {
			back[key] = append(back[key], it)
			continue // not lost: it is settled below
		}
		rest, fates = append(rest, it), append(fates, a.fates[i])
	}
	q.spool.Settle(rest, fates, 0)
	for key, items := range back {
		hold := q.backoff(a.held[key].row)
		a.held[key].until = a.now.Add(hold)
		fates = fates[:0]
		for range items {
			fates = append(fates, spool.Again)
		}
		q.spool.Settle(items, fates, hold)
	}
	return pause
}

// maxRetryAfter is the longest that a destination may ask us to wait.
const maxRetryAfter = 10 * time.Minute

// judge decides how the sink is doing.
func (q *Queue) judge(a *attempt) {
	held := q.blame.held(a.now)
	q.mu.Lock()
	q.state.held = held
	q.mu.Unlock()
	switch {
	case a.again > 0:
		q.turn(Unreachable, a.err)
	case len(q.blame.failing) == 0 && q.blame.careful == 0:
		q.turn(Unreachable, nil)
	}
	if a.again > 0 { // Drain may not want to wait for it
		q.mu.Lock()
		q.signal()
		q.mu.Unlock()
	}
}
