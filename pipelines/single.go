package pipelines

import (
	"errors"
	"log/slog"
	"time"

	"sightline/ingest"
	"sightline/pipelines/spec"
)

// NewSource makes the source of a stream's own address outside of any pipeline,
// for who only wants to look at it. Streams that are published to have none.
func NewSource(st *spec.Stream, log *slog.Logger) (ingest.Source, error) {
	if st.Kind == spec.WHIP {
		return nil, errors.New("a stream that is published to has nothing to read")
	}
	return newSource(st, nil, log)
}

// ThreadTime is the processor time that the calling thread has used, 0 where the
// system does not tell. Who compares two values holds on to the thread meanwhile.
func ThreadTime() time.Duration { return threadTime() }
