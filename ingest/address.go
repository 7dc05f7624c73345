package ingest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// ParseURL reads an address that has a host and one of these schemes. A username,
// where there is one, and password take the place of the address's own. Errors
// hold nothing of the text, which may hold a password.
func ParseURL(text, username, password string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil { // err quotes what cannot be read
		return nil, errors.New("url: cannot be read as a URL; special characters in a password " +
			"are written %XX, or the password goes under its own key")
	}
	switch {
	case !slices.Contains(schemes, u.Scheme):
		return nil, fmt.Errorf("url: does not begin with %s://", strings.Join(schemes, ":// or "))
	case u.Hostname() == "":
		return nil, errors.New("url: names no host")
	}
	if username != "" {
		u.User = url.UserPassword(username, password)
	}
	return u, nil
}

// Redacted is a URL fit for logs and errors: without password, and without a
// query, where some cameras and servers take passwords.
func Redacted(u *url.URL) string {
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		clean.User = url.User(u.User.Username())
	}
	return clean.String()
}

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
