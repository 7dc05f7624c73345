package ingest

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// ErrNoKeyframe is what ReasonNoKeyframe means where nobody can be asked for one.
var ErrNoKeyframe = errors.New("pictures come, but none that decoding can start with")

// LiveEpoch names the epoch of a connection that begins now: its start in
// microseconds since 1970.
func LiveEpoch() string { return strconv.FormatInt(time.Now().UnixMicro(), 10) }

// Pause waits d and returns nil, or ctx's error where that ends first.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
