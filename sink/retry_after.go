package sink

import (
	"errors"
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

// Passing is an error that is about the destination, and not about any event.
type Passing struct{ Err error }

func (e *Passing) Error() string { return e.Err.Error() }
func (e *Passing) Unwrap() error { return e.Err }

// Temporary is how an error says that no event is at fault.
func (*Passing) Temporary() bool { return true }

// IsPassing tells whether err says so of itself, as Passing does.
func IsPassing(err error) bool {
	var says interface{ Temporary() bool }
	return errors.As(err, &says) && says.Temporary()
}
