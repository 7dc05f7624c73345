package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestNetworkReason(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, ReasonRefused},
		{syscall.EHOSTUNREACH, ReasonRefused},
		{context.DeadlineExceeded, ReasonTimeout},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ReasonTimeout},
		{&net.DNSError{IsTimeout: true}, ReasonTimeout},
		{&net.DNSError{IsNotFound: true}, ReasonFailed},
		{io.ErrUnexpectedEOF, ReasonEnded},
		{net.ErrClosed, ReasonEnded},
		{syscall.ECONNRESET, ReasonEnded},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, ReasonUntrusted},
		{x509.HostnameError{Host: "camera", Certificate: &x509.Certificate{}}, ReasonUntrusted},
		{x509.CertificateInvalidError{Reason: x509.Expired}, ReasonUntrusted},
		{errors.New("anything else"), ReasonFailed},
	} {
		if got := NetworkReason(fmt.Errorf("connect: %w", c.err)); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}
