package ingest

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
)

// TLS says whom to trust where an address speaks TLS. The zero value trusts the
// system's authorities.
type TLS struct {
	// CA is a PEM file of the authorities to trust instead, or of the peer's own
	// certificate, which is then trusted whatever names and dates it bears: cameras
	// bring along certificates that name nothing.
	CA string `yaml:"ca"`
	// Insecure takes any certificate: who only listens learns nothing, but anybody
	// can pose as the peer.
	Insecure bool `yaml:"insecure"`
}

// Client makes the configuration of connections to host, reading CA anew. Where
// CA is given, a peer on the way of a redirect from one bare address to another is
// held to the name of host.
func (t TLS) Client(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure}
	if t.CA == "" || t.Insecure {
		return config, nil
	}
	known, err := certificates(t.CA)
	if err != nil {
		return nil, fmt.Errorf("tls: ca: %w", err)
	}
	config.InsecureSkipVerify = true // because VerifyConnection does all of it
	config.VerifyConnection = func(state tls.ConnectionState) error {
		// The state names no host that is an address.
		return verify(state.PeerCertificates, known, cmp.Or(state.ServerName, config.ServerName, host))
	}
	return config, nil
}

func certificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: holds no certificate in PEM form", path)
	}
	return all, nil
}

// verify checks the chain that a host shows, its own certificate first, against
// the known ones.
func verify(chain, known []*x509.Certificate, host string) error {
	if len(chain) == 0 || host == "" {
		return errors.New("no certificate, or no host to check it for")
	}
	if slices.ContainsFunc(known, chain[0].Equal) {
		return nil
	}
	options := x509.VerifyOptions{DNSName: host, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, c := range known {
		options.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err
}
