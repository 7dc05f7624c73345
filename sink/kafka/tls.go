package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
)

// TLS asks for an encrypted connection. All paths are PEM files, which are read
// again for each new connection: certificates can be changed without a restart.
type TLS struct {
	CA         string // empty: the system's
	Cert, Key  string // the client's own; both or none
	ServerName string // empty: the broker's host name
}

// config reads the files.
func (t *TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert, tls.key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// dialer opens connections, encrypted where TLS is asked for. The client library
// calls it from goroutines of its own.
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
	d.last, err = t.config()
	return d, err
}

// current is the configuration as the files are now; while they cannot be read, or
// certificate and key do not fit together because one was replaced first, what it
// was before.
func (d *dialer) current() *tls.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg, err := d.tls.config()
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
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}
