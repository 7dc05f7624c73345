package rtsp

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
)

// TLS says which certificate a camera must show where the URL is rtsps://. The
// zero value trusts the system's authorities.
type TLS struct {
	// CA is a PEM file of the authorities to trust instead, or of the camera's own
	// certificate, which is then trusted whatever names and dates it bears.
	CA string `yaml:"ca"`
	// Insecure takes any certificate: nobody can listen, but anybody can pose as
	// the camera.
	Insecure bool `yaml:"insecure"`
}

// client makes the configuration of one connection, reading CA anew.
func (t TLS) client() (*tls.Config, error) {
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
		// The state's own ServerName is empty where the host is an address.
		return verify(state.PeerCertificates, known, config.ServerName)
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
