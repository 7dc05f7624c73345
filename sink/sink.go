// Package sink turns events into bytes for the outside world. Each kind of
// destination is a sub-package; this package holds the interface they share and
// the CloudEvents encoding they use.
package sink

import (
	"context"
	"fmt"

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

// Record is an event on its way to one destination: encoded once, numbered for
// that destination.
type Record struct {
	Event    *detect.Event
	Sequence uint64 // per destination and partition key, from 1, after the types filter
}

// PartialError says which of the events given to Publish were not accepted.
type PartialError struct {
	Failed    []int // indices, ascending
	Permanent bool  // the destination will never take these: do not try again
	Err       error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%d events not accepted: %v", len(e.Failed), e.Err)
}
func (e *PartialError) Unwrap() error { return e.Err }
