package av

import (
	"fmt"

	"sightline/ingest"
)

// Fail is a failure with the reason users see; where is an address without secrets.
func Fail(where string, reason ingest.Reason, cause error) error {
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %w", where, cause)}
}
