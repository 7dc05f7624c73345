package ingesttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"sightline/ingest"
)

// readTime is how long Read waits.
const readTime = 30 * time.Second

var errEnough = errors.New("seen enough")

// Read runs a source until n packets came, with a nil error then, or until it
// ends; n 0 waits for the end. It returns what came until then, and after half a
// minute gives up with the context's error.
func Read(t testing.TB, s ingest.Source, n int) (packets []ingest.Packet, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readTime)
	defer cancel()
	err = s.Run(ctx, func(p ingest.Packet) error {
		if packets = append(packets, p); len(packets) == n {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return packets, err
}
