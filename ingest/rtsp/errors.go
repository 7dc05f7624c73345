package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"sightline/ingest"
)

// failure wraps a cause with what was being done, where, and the reason that
// users see.
func failure(target *url.URL, doing string, reason ingest.Reason, cause error) error {
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %s: %w", redacted(target), doing, cause)}
}

// reasonOf maps the errors of the network and of the RTSP client.
func reasonOf(err error) ingest.Reason {
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	var netErr net.Error
	switch {
	case errors.As(err, &status):
		switch status.Code {
		case base.StatusUnauthorized, base.StatusForbidden:
			return ingest.ReasonUnauthorized
		case base.StatusNotFound, base.StatusGone:
			return ingest.ReasonNotFound
		case base.StatusRequestTimeout, base.StatusGatewayTimeout:
			return ingest.ReasonTimeout
		}
		return ingest.ReasonFailed
	case errors.As(err, &auth):
		return ingest.ReasonUnauthorized
	case errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ingest.ReasonRefused
	case errors.Is(err, liberrors.ErrClientRequestTimedOut{}),
		errors.Is(err, liberrors.ErrClientTCPTimeout{}), errors.Is(err, liberrors.ErrClientUDPTimeout{}),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return ingest.ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ingest.ReasonEnded
	}
	return ingest.ReasonFailed
}

// refusesTCP says whether the camera answered that it speaks UDP only.
func refusesTCP(err error) bool {
	var status liberrors.ErrClientBadStatusCode
	return errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport ||
		errors.Is(err, liberrors.ErrClientServerRequestedUDP{})
}
