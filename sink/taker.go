package sink

import "sightline/detect"

// Taker is a Sink that has no use for some types of event, as a format of another
// system knows nothing of them. Those are left out before they are numbered, and
// count as filtered. Takes answers from any goroutine, always the same.
type Taker interface {
	Takes(t detect.Type) bool
}
