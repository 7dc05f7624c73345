package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/eclipse/paho.golang/packets"

	"sightline/sink"
)

// window delivers the events of one Publish, several in flight.
type window struct {
	sink    *Sink
	session *session
	events  []sink.Record
	log     *slog.Logger

	size     int            // most in flight
	flight   map[uint16]int // packet ids and the events they carry
	next     int            // the first event not sent
	fates    []fate
	out      []byte
	payload  []byte
	deferred bool            // the broker has put an event off
	why      error           // it gave for that
	refusal  error           // why an event will never be taken
	broken   map[string]bool // keys of which an event was put off
	told     bool            // of a topic that nobody reads
}

type fate int

const (
	open fate = iota
	taken
	putOff
	never
)

func (s *Sink) window(events []sink.Record) *window {
	w := &window{
		sink: s, session: s.session, events: events, log: s.log, size: s.cfg.InFlight,
		flight: map[uint16]int{}, fates: make([]fate, len(events)), broken: map[string]bool{},
	}
	if n := s.session.limits.inFlight; n > 0 {
		w.size = min(w.size, n)
	}
	if s.careful {
		w.size = 1
	}
	return w
}

// run returns when every event has its fate, or why the connection is of no use any
// more.
func (w *window) run(ctx context.Context) error {
	for {
		if err := w.fill(ctx); err != nil {
			return err
		}
		if len(w.flight) == 0 {
			return nil
		}
		for first := true; first || w.session.in.Buffered() > 0 && len(w.flight) > 0; first = false {
			a, err := w.session.read()
			if err != nil {
				return err
			}
			if err := w.take(a); err != nil {
				return err
			}
		}
	}
}

// fill sends events while there is room in the window, once half of it is free.
func (w *window) fill(ctx context.Context) error {
	const chunk = 64 << 10
	if len(w.flight) > w.size/2 {
		return nil // several at a time are cheaper
	}
	w.out = w.out[:0]
	for ; w.next < len(w.events) && len(w.flight) < w.size; w.next++ {
		if w.broken[w.key(w.next)] {
			w.fates[w.next] = putOff
			continue
		}
		if err := w.append(ctx, w.next); err != nil {
			return err
		}
		if len(w.out) > chunk {
			if err := w.session.write(w.out); err != nil {
				return err
			}
			w.out = w.out[:0]
		}
	}
	if len(w.out) == 0 {
		return nil
	}
	return w.session.write(w.out)
}

// append adds event i to what is sent next, or refuses it.
func (w *window) append(ctx context.Context, i int) error {
	id := w.id()
	packet, err := w.encode(ctx, id, i)
	switch {
	case errors.Is(err, errRefused):
		w.fates[i], w.refusal = never, err
		return nil
	case err != nil:
		return err
	}
	w.out = packet
	w.flight[id] = i
	return nil
}

// id is the next packet id that nothing in flight has.
func (w *window) id() uint16 {
	for {
		w.session.last++
		if _, taken := w.flight[w.session.last]; w.session.last != 0 && !taken {
			return w.session.last
		}
	}
}

// take settles what the broker has answered.
func (w *window) take(a answer) error {
	if a.kind == disconnect {
		return fmt.Errorf("the broker ended the connection with code 0x%02x%s", a.code, w.session.words(a))
	}
	i, ok := w.flight[a.id]
	if a.kind != puback || !ok {
		return fmt.Errorf("the broker answered what was not asked: packet type %d, id %d", a.kind, a.id)
	}
	delete(w.flight, a.id)
	verdict, why := judge(a.code)
	if verdict == accepted {
		w.fates[i] = taken
		w.unread(a, i)
		return nil
	}
	said := fmt.Errorf("%s%s: event %s, topic %s", why, w.session.words(a), w.events[i].Event.ID, w.events[i].Topic)
	if verdict == refused {
		w.fates[i], w.refusal = never, said
		return nil
	}
	w.fates[i], w.broken[w.key(i)], w.deferred = putOff, true, true
	if w.why = said; a.code == packets.PubackQuotaExceeded {
		w.why = &sink.Passing{Err: said}
	}
	return nil
}

// unread tells once of a topic that nobody subscribes to: the broker keeps nothing of
// it, as it was asked to.
func (w *window) unread(a answer, i int) {
	const noSubscribers = 0x10
	if a.code == noSubscribers && !w.told && !w.sink.cfg.Retain {
		w.told = true
		w.log.Debug("nobody subscribes to a topic: the broker takes its events and keeps none", "topic", w.events[i].Topic)
	}
}

// outcome says what became of the events. Err is why the connection ended, if it did.
func (w *window) outcome(err error) error {
	partial := &sink.PartialError{Err: err}
	broken := map[string]bool{}
	for i, f := range w.fates {
		switch {
		case f == never:
			partial.Refused = append(partial.Refused, i)
		case f != taken || broken[w.key(i)]:
			partial.Failed = append(partial.Failed, i)
			broken[w.key(i)] = true
		}
	}
	if partial.Failed == nil && partial.Refused == nil {
		return nil
	}
	if err == nil {
		partial.Err = w.why
	}
	switch {
	case partial.Err == nil:
		partial.Err = w.refusal
	case w.refusal != nil:
		partial.Err = fmt.Errorf("%w; and of what was refused: %w", partial.Err, w.refusal)
	}
	return partial
}

// key is among what order is kept.
func (w *window) key(i int) string {
	r := &w.events[i]
	return r.Topic + "\x00" + r.PartitionKey()
}
