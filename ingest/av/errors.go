package av

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"

	"sightline/ingest"
)

// Fail is a failure with the reason users see; where is an address without secrets.
func Fail(where string, reason ingest.Reason, cause error) error {
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %w", where, cause)}
}

// ReasonOf maps the errors of Go's network.
func ReasonOf(err error) ingest.Reason {
	var netErr net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return ingest.ReasonFailed
	case errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ingest.ReasonRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return ingest.ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ingest.ReasonEnded
	}
	return ingest.ReasonFailed
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
