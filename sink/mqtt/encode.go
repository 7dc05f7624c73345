package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math"

	"sightline/sink"
	"sightline/sink/format"
)

// errRefused is of an event that can never be sent.
var errRefused = errors.New("refused")

// encode appends the message of event i to what is sent next.
func (w *window) encode(ctx context.Context, id uint16, i int) ([]byte, error) {
	c, r := &w.sink.cfg, w.events[i]
	m := &message{id: id, topic: r.Topic, retain: c.Retain, contentType: sink.StructuredType}
	if m.topic == "" { // of a caller that does not ask for routes
		m.topic = w.sink.Route(r.Event).Topic
	}
	if len(m.topic) > maxTopic {
		return nil, fmt.Errorf("%w: event %s has a topic of %d bytes", errRefused, r.Event.ID, len(m.topic))
	}
	if c.Version == V5 {
		m.attributes = userProperties(r)
	}
	var err error
	switch {
	case c.Format != nil:
		w.payload, err = c.Format.Append(ctx, w.payload[:0], r)
		m.contentType = c.Format.ContentType()
	case c.Mode == Binary:
		w.payload, err = sink.AppendData(w.payload[:0], r)
		m.contentType = sink.DataType
	default:
		w.payload, err = sink.AppendStructured(w.payload[:0], r)
	}
	if err != nil && format.Temporary(err) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	m.payload = w.payload
	start := len(w.out)
	out, err := w.session.protocol.publish(w.out, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if size := len(out) - start; size > w.maxPacket() {
		return nil, fmt.Errorf("%w: event %s makes a message of %d bytes, the most is %d", errRefused, r.Event.ID, size, w.maxPacket())
	}
	return out, nil
}

// maxPacket is the largest message that is sent: by the protocol, the broker and the
// configuration.
func (w *window) maxPacket() int {
	most := 256<<20 - 1
	for _, n := range []int{w.session.limits.packet, w.sink.cfg.MaxPacket} {
		if n > 0 {
			most = min(most, n, math.MaxInt32)
		}
	}
	return most
}
