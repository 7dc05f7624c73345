package rtsp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

var (
	errNoKeyframe = errors.New("pictures come, but none that decoding can start with")
	errNoPicture  = errors.New("packets come, but no picture is whole")
	errNoAnswer   = errors.New("the camera does not answer in time")
	errSilent     = errors.New("the camera sends nothing")
	errGoodbye    = errors.New("the camera ended the stream")
	errRestarted  = errors.New("the camera began its stream anew")
	errForgotten  = errors.New("the camera no longer knows the session")
	errStopped    = errors.New("session ended")
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
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %s: %w", redacted(target), doing, cause)}
}

// reasonOf maps the errors of the network and of the RTSP client.
func reasonOf(err error) ingest.Reason {
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	var request liberrors.ErrClientUnhandledMethod
	var netErr net.Error
	switch {
	case errors.As(err, &status):
		return reasonOfStatus(status.Code)
	case errors.As(err, &auth):
		return ingest.ReasonUnauthorized
	case errors.As(err, &request): // TEARDOWN, REDIRECT or ANNOUNCE: this session is over
		return ingest.ReasonEnded
	case untrusted(err):
		return ingest.ReasonUntrusted
	case errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ingest.ReasonRefused
	case errors.Is(err, liberrors.ErrClientRequestTimedOut{}),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return ingest.ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ingest.ReasonEnded
	}
	return ingest.ReasonFailed
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

// untrusted says whether it is the camera's certificate that failed.
func untrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid)
}

// refusesTransport says whether the camera answered that it sends some other way.
func refusesTransport(err error) bool {
	var status liberrors.ErrClientBadStatusCode
	return errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport ||
		errors.Is(err, liberrors.ErrClientServerRequestedUDP{}) ||
		errors.Is(err, liberrors.ErrClientServerRequestedTCP{}) ||
		errors.Is(err, liberrors.ErrClientTransportHeaderInvalidDelivery{})
}
