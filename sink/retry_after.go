package sink

import (
	"fmt"
	"time"
)

// RetryAfter is the error of a destination that says when to try again: nothing is
// published to it before. It is found with errors.As, inside a PartialError too.
type RetryAfter struct {
	After time.Duration // from now; positive
	Err   error
}

func (e *RetryAfter) Error() string { return fmt.Sprintf("%v (asked to wait for %v)", e.Err, e.After) }

func (e *RetryAfter) Unwrap() error { return e.Err }
