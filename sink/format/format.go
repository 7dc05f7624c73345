// Package format lays events out as destinations want them: as CloudEvents in
// JSON, in Avro and in Protobuf with a schema registry beside Kafka, and in the
// shapes of other systems, so that what reads those can move one by one. Every
// kind of sink that writes whole events uses it.
package format

import (
	"context"
	"errors"
	"fmt"

	"sightline/detect"
	"sightline/sink"
)

// Kinds of format, as they are written in YAML.
const (
	CloudEvents = "cloudevents" // sink.AppendStructured
	Avro        = "avro"        // Confluent's wire format, a schema for each type of event
	Protobuf    = "protobuf"    // Confluent's wire format, message sightline.v1.Event
	DeepStream  = "deepstream"  // what nvmsgconv makes: a frame's objects (minimal), and one object's event (full)
	DLStreamer  = "dlstreamer"  // what gvametaconvert makes of a frame
	Frigate     = "frigate"     // the payload of frigate/events
)

// ErrNoCounterpart is the error of an event of a type that the format does not
// take: there is nothing to say of it there.
var ErrNoCounterpart = errors.New("the format has no counterpart for this type of event")

// Format makes bytes of events. It is for one goroutine at a time.
type Format interface {
	// Append appends the event to dst, whole, without a line feed; the same record
	// gives the same bytes every time. It may ask a registry and wait for it, until
	// ctx ends at most. On an error dst is returned as it was, and Temporary tells
	// whether the same event may go through later.
	Append(ctx context.Context, dst []byte, r sink.Record) ([]byte, error)
	// ContentType is the media type of what Append makes.
	ContentType() string
	// Takes tells whether events of this type have a counterpart: those that have
	// none are to be left out before they are numbered. Any goroutine may ask.
	Takes(t detect.Type) bool
}

// Config says which format.
type Config struct {
	Kind     string   // one of the kinds; "" is CloudEvents
	Registry Registry // for Avro and Protobuf
}

// Validate reports every mistake at once, each beginning with the key it is about.
// It opens nothing.
func (c Config) Validate() error {
	switch c.Kind {
	case "", CloudEvents, DeepStream, DLStreamer, Frigate:
		return nil
	case Avro, Protobuf:
		return c.Registry.validate()
	}
	return fmt.Errorf("format: %q is none of cloudevents, avro, protobuf, deepstream, dlstreamer, frigate", c.Kind)
}

// New makes the format of a valid c. It opens no connection.
func New(c Config) (Format, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch c.Kind {
	case Avro:
		return newAvro(c.Registry)
	case Protobuf:
		return newProtobuf(c.Registry)
	case DeepStream:
		return newDeepStream(), nil
	case DLStreamer:
		return newDLStreamer(), nil
	case Frigate:
		return newFrigate(), nil
	}
	return cloudEvents{}, nil
}

// Temporary tells whether an event that Append gave err for may go through later:
// the registry could not be asked, or refused what an operator can mend.
func Temporary(err error) bool {
	var r *RegistryError
	return errors.As(err, &r) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// cloudEvents is the product's own form.
type cloudEvents struct{}

func (cloudEvents) Append(_ context.Context, dst []byte, r sink.Record) ([]byte, error) {
	return sink.AppendStructured(dst, r)
}

func (cloudEvents) ContentType() string    { return sink.StructuredType }
func (cloudEvents) Takes(detect.Type) bool { return true }
