package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sightline/detect"
	"sightline/sink"
	"sightline/sink/spool"
)

// attempt is one Publish and what becomes of its events.
type attempt struct {
	items   []*spool.Item
	fates   []spool.Fate
	err     error
	through bool // something got through, or was refused for good: somebody is there
	named   bool // the destination said which events failed
	now     time.Time

	acked   []*detect.Event
	oldest  time.Time // when the first of acked was offered
	again   int
	letters []deadLetter
	held    map[sink.Route]*keyFailure // keys of which something failed
}

// settle ends an attempt: what was accepted leaves, what never will be becomes a
// dead letter, the rest goes back to the head of its key. It returns how long to
// leave the destination alone.
func (d *Delivery) settle(ctx context.Context, items []*spool.Item, err error) (pause time.Duration) {
	a := &attempt{items: items, err: err, now: time.Now(), held: map[sink.Route]*keyFailure{}}
	a.sort()
	if ctx.Err() != nil && !a.through {
		d.queue.Settle(items, a.fates, 0)
		return 0
	}
	d.condemn(a)
	d.bury(a)
	d.account(a)
	pause = d.giveBack(a)
	d.judge(a)
	if len(a.acked) > 0 && d.cfg.OnAck != nil {
		d.cfg.OnAck(a.acked, a.now)
	}
	return pause
}

// sort finds each event's fate in the error.
func (a *attempt) sort() {
	a.fates = make([]spool.Fate, len(a.items))
	var partial *sink.PartialError
	others := spool.Done
	if a.err != nil && !errors.As(a.err, &partial) {
		others = spool.Again
	}
	for i := range a.fates {
		a.fates[i] = others
	}
	if partial != nil {
		for _, i := range partial.Failed {
			a.fates[i] = spool.Again
		}
		for _, i := range partial.Refused {
			a.fates[i] = spool.Dead
		}
	}
	for i, it := range a.items {
		switch a.fates[i] {
		case spool.Again:
			a.again++
			continue
		case spool.Done:
			if len(a.acked) == 0 {
				a.oldest = it.Offered
			}
			a.acked = append(a.acked, it.Event)
		}
		a.through = true
	}
	a.named = a.through
}

// condemn finds out which of the events that failed are poisoned, and makes dead
// letters of them and of those refused.
func (d *Delivery) condemn(a *attempt) {
	suspicious := a.err != nil && !guiltless(a.err)
	d.blame.tried(len(a.items), a.through, suspicious)
	for i, it := range a.items {
		key := keyOf(it.Record)
		_, failed := a.held[key]
		switch a.fates[i] {
		case spool.Again:
			if failed {
				continue // not lost: it goes back behind one that failed
			}
			f, poisoned := d.blame.fail(it.Record, a.through, suspicious, a.named || len(a.items) == 1)
			a.held[key] = f
			if poisoned {
				a.fates[i] = spool.Dead
				a.again--
				d.blame.accept(it.Record)
				a.held[key] = nil // the next of the key at once
				a.letter(d, it, fmt.Errorf("failed while others got through: %w", a.err))
			}
		case spool.Dead:
			a.letter(d, it, a.why(i))
			fallthrough
		default:
			if !failed {
				d.blame.accept(it.Record)
			}
		}
	}
}

// why is the reason for which an event was refused.
func (a *attempt) why(i int) error {
	if partial, ok := errors.AsType[*sink.PartialError](a.err); ok {
		return partial.WhyRefused(i)
	}
	return a.err
}

func (a *attempt) letter(d *Delivery, it *spool.Item, why error) {
	l, err := newDeadLetter(d.cfg.Name, it.Record, it.Tries+1, why, a.now)
	if err != nil {
		d.log.Error("a dead letter's event cannot be encoded", "event", it.Event.ID, "error", err)
	}
	a.letters = append(a.letters, l)
}

// letterCount is what was not told yet of dead letters.
type letterCount struct {
	events int
	last   time.Time // told
}

// bury puts the dead letters on disk. Where that fails they are logged one by one:
// they are accounted for all the same, and hold up nothing.
func (d *Delivery) bury(a *attempt) {
	if len(a.letters) == 0 {
		return
	}
	err := d.dead.write(a.letters)
	if err != nil {
		for _, l := range a.letters {
			d.log.Error("event given up and not kept", "error", err, "reason", l.Reason, "topic", l.Topic, "key", l.Key, "event", string(l.Event))
		}
	}
	d.told.events += len(a.letters)
	if a.now.Sub(d.told.last) < remindAfter {
		return
	}
	last := a.letters[len(a.letters)-1]
	d.log.Error("events given up", "events", d.told.events, "reason", last.Reason, "dead_letters", d.cfg.DeadLetter.Path)
	message := fmt.Sprintf("%d events given up: %s", d.told.events, last.Reason)
	d.told = letterCount{last: a.now}
	d.telling.Lock()
	defer d.telling.Unlock()
	d.tell(detect.ReasonInfo{Code: deadLettered, Message: message, Attempt: last.Tries})
}

// account moves the events that are done with to their columns.
func (d *Delivery) account(a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, it := range a.items {
		switch a.fates[i] {
		case spool.Done:
			d.leave(it.Event.Stream, 1).Acknowledged++
		case spool.Dead:
			d.leave(it.Event.Stream, 1).DeadLettered++
			d.state.dead++
		}
	}
	if len(a.acked) > 0 {
		d.state.lastAck = a.now.Sub(a.oldest)
	}
	switch {
	case a.again == 0:
		d.state.attempt = 0
	case a.through:
		d.state.attempt = 1 // no reason to wait longer and longer
	default:
		d.state.attempt++
	}
	d.signal()
}

// giveBack settles with the queue. Where something got through only the keys are
// held back of which something failed; where nothing did, the destination is left
// alone, unless it may be the fault of the one key tried.
func (d *Delivery) giveBack(a *attempt) (pause time.Duration) {
	var wait *sink.RetryAfter
	if errors.As(a.err, &wait) {
		pause = min(wait.After, maxRetryAfter)
	}
	d.mu.Lock()
	row := d.state.attempt
	d.mu.Unlock()
	if a.again == 0 {
		d.queue.Settle(a.items, a.fates, 0)
		return pause
	}
	if !a.through && !(row == 1 && len(a.held) == 1) {
		d.queue.Settle(a.items, a.fates, 0)
		return max(pause, d.backoff(row))
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
	d.queue.Settle(rest, fates, 0)
	for key, items := range back {
		hold := d.backoff(a.held[key].row)
		a.held[key].until = a.now.Add(hold)
		fates = fates[:0]
		for range items {
			fates = append(fates, spool.Again)
		}
		d.queue.Settle(items, fates, hold)
	}
	return pause
}

// maxRetryAfter is the longest that a destination may ask us to wait.
const maxRetryAfter = 10 * time.Minute

// judge decides how the sink is doing.
func (d *Delivery) judge(a *attempt) {
	held := d.blame.held(a.now)
	d.mu.Lock()
	d.state.held = held
	d.mu.Unlock()
	switch {
	case a.again > 0:
		d.turn(unreachable, a.err)
	case len(d.blame.failing) == 0 && d.blame.careful == 0:
		d.turn(unreachable, nil)
	}
	if a.again > 0 { // Drain may not want to wait for it
		d.mu.Lock()
		d.signal()
		d.mu.Unlock()
	}
}
