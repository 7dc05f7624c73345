package av

import (
	"fmt"
	"net/url"

	"sightline/ingest"
)

// Fail is a failure with the reason users see; where is an address without secrets.
func Fail(where string, reason ingest.Reason, cause error) error {
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %w", where, cause)}
}

// Redacted is a URL fit for logs and errors: without password, and without a
// query, where some servers take passwords.
func Redacted(u *url.URL) string {
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		clean.User = url.User(u.User.Username())
	}
	return clean.String()
}
