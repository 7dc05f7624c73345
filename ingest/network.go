package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// NetworkReason maps the errors of connecting, of TLS, and of reading and writing;
// any other is ReasonFailed.
func NetworkReason(err error) Reason {
	var network net.Error
	switch {
	case untrusted(err):
		return ReasonUntrusted
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ReasonRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ReasonEnded
	}
	return ReasonFailed
}

// untrusted tells whether it is the peer's certificate that failed: in the
// standard library's own check, or in one that takes its place.
func untrusted(err error) bool {
	var checked *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &checked) || errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid)
}
