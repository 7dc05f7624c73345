package av

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS says whom to trust where an address speaks TLS. The zero value trusts the
// system's authorities.
type TLS struct {
	CA       string `yaml:"ca"`       // a PEM file of authorities to trust instead
	Insecure bool   `yaml:"insecure"` // take any certificate
}

// Client makes the configuration of a connection, reading CA anew.
func (t TLS) Client() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure}
	if t.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("tls: ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls: ca: %s: holds no certificate in PEM form", t.CA)
	}
	return config, nil
}
