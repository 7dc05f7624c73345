package kafka

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"

	"sightline/sink"
)

// TLS asks for an encrypted connection.
type TLS = sink.TLS

// dialer opens connections, encrypted where TLS is asked for; the files are read for
// each of them, so that certificates can be changed without a restart. The client
// library calls it from goroutines of its own.
type dialer struct {
	tcp net.Dialer
	tls *TLS // nil: plain text
	log *slog.Logger

	mu   sync.Mutex
	last *tls.Config // what was last read well
}

// newDialer reads the files once, so that mistakes in them show at the start.
func newDialer(t *TLS, log *slog.Logger) (*dialer, error) {
	d := &dialer{tcp: net.Dialer{Timeout: dialTimeout}, tls: t, log: log}
	if t == nil {
		return d, nil
	}
	var err error
	d.last, err = t.Client()
	return d, err
}

// current is the configuration as the files are now; while they cannot be read, or
// certificate and key do not fit together because one was replaced first, what it
// was before.
func (d *dialer) current() *tls.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg, err := d.tls.Client()
	if err != nil {
		d.log.Warn("kafka certificates cannot be read again: those read before are kept", "error", err)
		return d.last
	}
	d.last = cfg
	return cfg
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.tcp.DialContext(ctx, network, address)
	if err != nil || d.tls == nil {
		return conn, err
	}
	cfg := d.current().Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &handshakeError{err}
	}
	return secure, nil
}

// handshakeError is a TLS connection that did not come about.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }
