package delivery

import (
	"errors"
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
	letters []letter
	held    map[sink.Route]*keyFailure // keys of which something failed
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

// why is the reason for which an event was refused.
func (a *attempt) why(i int) error {
	if partial, ok := errors.AsType[*sink.PartialError](a.err); ok {
		return partial.WhyRefused(i)
	}
	return a.err
}

func (a *attempt) letter(q *Queue, it *spool.Item, why error) {
	l, err := newLetter(q.cfg.Name, it.Record, it.Tries+1, why, a.now)
	if err != nil {
		q.log.Error("a dead letter's event cannot be encoded", "event", it.Event.ID, "error", err)
	}
	a.letters = append(a.letters, l)
}
