package rtsp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"sightline/ingest"
)

var (
	errNoPicture = errors.New("packets come, but no picture is whole")
	errNoAnswer  = errors.New("the camera does not answer in time")
	errSilent    = errors.New("the camera sends nothing")
	errGoodbye   = errors.New("the camera ended the stream")
	errRestarted = errors.New("the camera began its stream anew")
	errForgotten = errors.New("the camera no longer knows the session")
	errStopped   = errors.New("session ended")
)

// failure wraps a cause with what was being done, where, and the reason that
// users see.
func failure(target *url.URL, doing string, reason ingest.Reason, cause error) error {
	var plain tls.RecordHeaderError
	switch {
	case reason == ingest.ReasonUntrusted:
		cause = fmt.Errorf("the camera's certificate is not trusted: %w; name the file of the certificate, or of "+
			"the authority that signed it, under tls: ca, or take any certificate with tls: insecure: true", cause)
	case errors.As(cause, &plain):
		cause = fmt.Errorf("this port does not speak TLS, try rtsp:// or another port: %w", cause)
	}
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %s: %w", ingest.Redacted(target), doing, cause)}
}

// reasonOf maps the errors of the RTSP client and of the network.
func reasonOf(err error) ingest.Reason {
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	var request liberrors.ErrClientUnhandledMethod
	switch {
	case errors.As(err, &status):
		return reasonOfStatus(status.Code)
	case errors.As(err, &auth):
		return ingest.ReasonUnauthorized
	case errors.As(err, &request): // TEARDOWN, REDIRECT or ANNOUNCE: this session is over
		return ingest.ReasonEnded
	case errors.Is(err, liberrors.ErrClientRequestTimedOut{}):
		return ingest.ReasonTimeout
	}
	return ingest.NetworkReason(err)
}

func reasonOfStatus(code base.StatusCode) ingest.Reason {
	switch code {
	case base.StatusUnauthorized, base.StatusForbidden:
		return ingest.ReasonUnauthorized
	case base.StatusNotFound, base.StatusGone:
		return ingest.ReasonNotFound
	case base.StatusRequestTimeout, base.StatusGatewayTimeout:
		return ingest.ReasonTimeout
	case base.StatusSessionNotFound:
		return ingest.ReasonEnded
	}
	return ingest.ReasonFailed
}

// refusesTransport says whether the camera answered that it sends some other way.
func refusesTransport(err error) bool {
	var status liberrors.ErrClientBadStatusCode
	return errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport ||
		errors.Is(err, liberrors.ErrClientServerRequestedUDP{}) ||
		errors.Is(err, liberrors.ErrClientServerRequestedTCP{}) ||
		errors.Is(err, liberrors.ErrClientTransportHeaderInvalidDelivery{})
}
