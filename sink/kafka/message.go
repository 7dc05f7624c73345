package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sightline/sink"
	"sightline/sink/format"
)

// maxArena is the largest buffer kept for the next Publish.
const maxArena = 4 << 20

// message is one event ready to be sent.
type message struct {
	index   int // in the events given to Publish
	record  sink.Record
	topic   string
	key     string
	headers []byte // as they stand in a batch, their number first; part of the sink's arena
	value   []byte // the record's JSON, or part of the sink's arena
	size    int    // in a batch before compression, or a little more
}

// errTooLarge is why an event is refused that no broker was asked about.
var errTooLarge = errors.New("larger than max_message")

// encode turns events into messages whose values are the events' own JSON or share
// the sink's buffer: they are valid until the next call. What cannot be encoded goes
// to result; where that may pass, so do the events behind it in its topic and key.
func (s *Sink) encode(ctx context.Context, events []sink.Record, result *outcome) []message {
	s.messages = s.messages[:0]
	arena := s.values[:0]
	var held map[sink.Route]error
	for i, r := range events {
		m := message{index: i, record: r, topic: r.Topic, key: r.PartitionKey()}
		if m.topic == "" {
			m.topic = s.Route(r.Event).Topic
		}
		m.record.Topic = m.topic // which a schema's subject may be named after
		at := sink.Route{Topic: m.topic, Key: m.key}
		err := held[at]
		if err == nil {
			arena, err = s.value(ctx, arena, &m)
		}
		switch {
		case err == nil:
			s.messages = append(s.messages, m)
		case held[at] != nil || s.cfg.Format != nil && format.Temporary(err):
			if held == nil {
				held = map[sink.Route]error{}
			}
			held[at] = err
			result.fail([]message{m}, &topicError{m.topic, err})
		default:
			result.refuse(m, err)
		}
	}
	if s.values = arena; cap(arena) > maxArena {
		s.values = nil
	}
	return s.messages
}

// value fills in the message's headers and value, of a shrunk event where the whole one is too
// large. It returns the arena, which may have moved: values in it stay what they are.
func (s *Sink) value(ctx context.Context, arena []byte, m *message) ([]byte, error) {
	for {
		start := len(arena)
		arena = appendHeaders(arena, m.record, s.content())
		from := len(arena)
		m.headers = arena[start:from:from]
		var err error
		switch {
		case s.cfg.Format != nil:
			arena, err = s.cfg.Format.Append(ctx, arena, m.record)
		case s.cfg.Mode == Binary:
			arena, err = sink.AppendData(arena, m.record)
		case m.record.JSON != nil:
			m.value = m.record.JSON
		default:
			arena, err = sink.AppendStructured(arena, m.record)
		}
		if err != nil {
			return arena[:start], err
		}
		if len(arena) > from {
			m.value = arena[from:len(arena):len(arena)]
		}
		m.size = overhead + len(m.key) + len(m.headers) + len(m.value)
		if m.size <= s.cfg.MaxMessage {
			return arena, nil
		}
		if !m.shrink() {
			return arena[:start], fmt.Errorf("%w of %d bytes", errTooLarge, s.cfg.MaxMessage)
		}
	}
}

// overhead bounds what a message has besides key, headers and value: lengths and
// times.
const overhead = 32

// shrink takes the path out of the message's event, which says so then. The value
// is to be made again. It is false when there is nothing left to take out.
func (m *message) shrink() bool {
	full, err := m.record.Full()
	if err != nil || full.Data.Object == nil || len(full.Data.Object.Path) == 0 {
		return false
	}
	ev, object := *full, *full.Data.Object
	object.Path = nil
	ev.Data.Object = &object
	ev.Data.Truncated = append(slices.Clone(ev.Data.Truncated), "object.path")
	m.record = sink.Record{Event: &ev, Route: m.record.Route, Sequence: m.record.Sequence}
	return true
}

// content is the media type of the values.
func (s *Sink) content() string {
	switch {
	case s.cfg.Format != nil:
		return s.cfg.Format.ContentType()
	case s.cfg.Mode == Binary:
		return sink.DataType
	}
	return sink.StructuredType
}

// stamp is the message's own time stamp.
func (s *Sink) stamp(m *message, now time.Time) time.Time {
	if s.cfg.Timestamp == EventTime && !m.record.Event.Time.IsZero() {
		return m.record.Event.Time
	}
	return now
}
