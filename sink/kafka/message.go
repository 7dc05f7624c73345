package kafka

import (
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"sightline/sink"
)

// maxArena is the largest buffer of encoded values kept for the next Publish.
const maxArena = 4 << 20

// message is one event ready to be sent.
type message struct {
	index   int // in the events given to Publish
	id      string
	key     []byte
	value   []byte // part of the sink's arena
	headers []kafkago.Header
	time    time.Time // zero: when it is sent
}

// encode turns events into messages whose values share the sink's buffer: they are
// valid until the next call. Events that cannot be encoded go to result.
func (s *Sink) encode(events []sink.Record, result *outcome) []message {
	arena := s.values[:0]
	messages := make([]message, 0, len(events))
	ends := make([]int, 0, len(events))
	for i, r := range events {
		m := message{index: i, id: r.Event.ID, key: []byte(r.Event.PartitionKey())}
		var err error
		content := sink.DataType
		if s.cfg.Mode == Structured {
			content = sink.StructuredType
			arena, err = sink.AppendStructured(arena, r)
		} else {
			arena, err = sink.AppendData(arena, r)
		}
		if err != nil {
			result.refuse(m, err)
			continue
		}
		m.headers = headers(r, content)
		if s.cfg.Timestamp == EventTime {
			m.time = r.Event.Time
		}
		messages = append(messages, m)
		ends = append(ends, len(arena))
	}
	from := 0
	for i, end := range ends { // only now, because the arena may have moved while it grew
		messages[i].value = arena[from:end:end]
		from = end
	}
	if s.values = arena; cap(arena) > maxArena {
		s.values = nil
	}
	return messages
}

func headers(r sink.Record, content string) []kafkago.Header {
	attributes := sink.Attributes(r)
	out := make([]kafkago.Header, 0, len(attributes)+1)
	out = append(out, kafkago.Header{Key: "content-type", Value: []byte(content)})
	for _, a := range attributes {
		if a.Key != "ce_datacontenttype" || content == sink.StructuredType { // else it is content-type
			out = append(out, kafkago.Header(a))
		}
	}
	return out
}

// fitting is how many of the first messages make a batch of at most limit bytes;
// at least one.
func fitting(lane []message, limit int) int {
	size := 0
	for i, m := range lane {
		size += m.size()
		if size > limit && i > 0 {
			return i
		}
	}
	return len(lane)
}

// size is what the message takes on the wire, or a little more.
func (m message) size() int {
	n := 32 + len(m.key) + len(m.value)
	for _, h := range m.headers {
		n += 8 + len(h.Key) + len(h.Value)
	}
	return n
}
