// Package sink turns events into bytes for the outside world. Each kind of
// destination is a sub-package; this package holds the interface they share and
// the CloudEvents encoding they use.
package sink

import (
	"context"
	"fmt"
	"strings"

	"sightline/detect"
)

// Sink delivers events to one destination.
type Sink interface {
	// Publish returns when the destination has accepted the events, in their
	// order per partition key, or ctx ended. It makes one attempt; the caller
	// retries what failed. A *PartialError names the events that were not
	// accepted; any other error means none was known to be. It keeps nothing of
	// events after it returned. One goroutine at a time.
	Publish(ctx context.Context, events []Record) error
	// Close gives the destination's resources back; it accepts nothing more.
	Close(ctx context.Context) error
}

// Record is an event on its way to one destination: addressed and numbered for it.
type Record struct {
	// Event has the attributes always, its Data only where the record was not read
	// back from bytes: a kind that needs more than the JSON calls Full.
	Event *detect.Event
	Route
	Sequence uint64 // per destination and route, from 1, after the types filter; 0: none
	JSON     []byte // what AppendStructured makes of the record, where that was done before; read-only

	bare bool // Event lacks its Data
}

// Route is where inside its destination an event goes.
type Route struct {
	Topic string // of Kafka or MQTT; "" where a destination is but one
	Key   string // order is kept among events of one topic and key; "" is the event's own PartitionKey
}

// Router is a Sink that has several topics or keys. Route is asked once for each
// event, before it is numbered, from any goroutine; it does not block. The answer
// stays with the event over restarts, so it may depend on nothing else.
type Router interface {
	Route(ev *detect.Event) Route
}

// PartitionKey is the key among whose records order is kept.
func (r Record) PartitionKey() string {
	if r.Key != "" {
		return r.Key
	}
	return r.Event.PartitionKey()
}

// PartialError says which of the events given to Publish were not accepted. To
// keep the order per partition key over a retry, a sink that failed to deliver an
// event names every later one of the same key too, unless it refused the event.
type PartialError struct {
	Failed  []int // indices, ascending: try these again, in this order, before newer events
	Refused []int // indices, ascending: the destination will never take these
	Err     error
	Why     map[int]error // of the refused ones that have a reason of their own; that of the others is Err
}

func (e *PartialError) Error() string {
	var parts []string
	if n := len(e.Failed); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not accepted", n))
	}
	if n := len(e.Refused); n > 0 {
		parts = append(parts, fmt.Sprintf("%d refused for good", n))
	}
	return fmt.Sprintf("events: %s: %v", strings.Join(parts, ", "), e.Err)
}

func (e *PartialError) Unwrap() error { return e.Err }

// WhyRefused is the reason of one of the refused events.
func (e *PartialError) WhyRefused(i int) error {
	if why := e.Why[i]; why != nil {
		return why
	}
	return e
}
