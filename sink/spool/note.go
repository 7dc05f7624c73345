package spool

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"sightline/sink"
)

// Kinds of journal entries, the first byte of each.
const (
	kindRecord  = 1 // when it was offered, in microseconds, and sink.AppendRecord's bytes
	kindNotes   = 2 // of routes: what of the records before in the journal is settled, and the numbers given
	kindForgets = 3 // routes whose numbers begin again at 1
)

// entryOverhead is what the journal adds to an entry, at most.
const entryOverhead = 40

var errEntry = errors.New("not an entry of this version")

// encode makes the bytes that go to disk: once, in scratch, whose contents are
// nobody's, and then as large as they are. It returns scratch for the next one.
func (h *held) encode(scratch []byte) ([]byte, error) {
	json, err := sink.AppendStructured(scratch[:0], h.record)
	if err != nil {
		return scratch, err
	}
	r, ev := h.record, h.record.Event
	r.JSON = json
	room := len(json) + len(r.Topic) + len(r.Key) + len(ev.Site) + len(ev.Stream) + len(ev.Type) + len(ev.ID) + len(ev.Subject) + len(ev.DataRef) + 64
	body := binary.AppendVarint(append(make([]byte, 0, room), kindRecord), h.offered.UnixMicro())
	if body, err = sink.AppendRecord(body, r); err != nil {
		return json, err
	}
	h.body, h.record.JSON = body, body[len(body)-len(json):] // which ends the record
	return json, nil
}

func parseRecord(body []byte) (r sink.Record, offered time.Time, err error) {
	if len(body) == 0 || body[0] != kindRecord {
		return r, offered, errEntry
	}
	micros, n := binary.Varint(body[1:])
	if n <= 0 {
		return r, offered, errEntry
	}
	r, err = sink.ParseRecord(body[1+n:])
	return r, time.UnixMicro(micros), err
}

// nameOf is the route of a record, as Queue.routes knows it.
func nameOf(r sink.Record) sink.Route {
	return sink.Route{Topic: r.Topic, Key: r.PartitionKey()}
}

// note is what the journal is told of one route. It is about the records before it.
type note struct {
	route   *route // where it is being written
	name    sink.Route
	firm    uint64   // the highest number given for good
	upTo    uint64   // records up to it are settled,
	singles []uint64 // and these, ascending
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (n *note) append(dst []byte) []byte {
	dst = appendText(appendText(dst, n.name.Topic), n.name.Key)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, n.firm), n.upTo)
	dst = binary.AppendUvarint(dst, uint64(len(n.singles)))
	last := n.upTo
	for _, s := range n.singles {
		dst = binary.AppendUvarint(dst, s-last)
		last = s
	}
	return dst
}

// noted says where in the journal the note is. It may be older than the last number.
func (n *note) noted(index uint64) {
	if n.firm >= n.route.firm {
		n.route.noted = index
	}
}

// reader takes an entry of notes apart; bad is set once something does not fit.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) route() sink.Route { return sink.Route{Topic: r.text(), Key: r.text()} }

func (r *reader) note() note {
	n := note{name: r.route(), firm: r.uint(), upTo: r.uint()}
	last, singles := n.upTo, r.uint()
	if singles > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return n
	}
	for range singles {
		last += r.uint()
		n.singles = append(n.singles, last)
	}
	return n
}

// parseNotes reads an entry of notes, all or nothing.
func parseNotes(body []byte) ([]note, error) {
	r := &reader{b: body[1:]}
	var notes []note
	for len(r.b) > 0 && !r.bad {
		notes = append(notes, r.note())
	}
	if r.bad {
		return nil, errEntry
	}
	return notes, nil
}

func parseForgets(body []byte) ([]sink.Route, error) {
	r := &reader{b: body[1:]}
	var names []sink.Route
	for len(r.b) > 0 && !r.bad {
		names = append(names, r.route())
	}
	if r.bad {
		return nil, errEntry
	}
	return names, nil
}

// note is what there is to tell of the route now. Locked.
func (q *Queue) note(r *route) note {
	n := note{route: r, name: r.name, firm: r.firm, upTo: r.firm}
	if _, e := r.head(); e != nil {
		n.upTo = e.sequence - 1
	}
	for _, it := range r.flight {
		if !it.done {
			n.upTo = min(n.upTo, it.entry.sequence-1)
		}
	}
	for _, s := range r.settled {
		if s > n.upTo {
			n.singles = append(n.singles, s)
		}
	}
	slices.Sort(n.singles)
	return n
}
