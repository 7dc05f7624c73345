// Package http reads cameras that speak plain HTTP: Motion JPEG, and still
// pictures that are asked for over and over. Which of both it is, the camera's
// Content-Type tells.
package http

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"
)

// Config says which address to read, and how.
type Config struct {
	URL      string        `yaml:"url"`      // http:// or https://, may hold user and password
	Username string        `yaml:"username"` // takes the place of the URL's user and password
	Password string        `yaml:"password"`
	Every    time.Duration `yaml:"every"` // between two stills; Motion JPEG comes at the camera's own pace
	// Timeout is how long the camera may take to answer, and stay silent later.
	Timeout time.Duration `yaml:"timeout"`
	TLS     TLS           `yaml:"tls"`
}

// TLS says whom to trust on https.
type TLS struct {
	CA       string `yaml:"ca"`       // file of authorities in PEM; empty: the system's
	Insecure bool   `yaml:"insecure"` // take any certificate
}

// Defaults is a configuration that lacks only the URL.
func Defaults() Config {
	return Config{Every: time.Second, Timeout: 10 * time.Second}
}

// Validate reports every mistake. Its texts never hold a password.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.target(); err != nil {
		errs = append(errs, err)
	}
	if c.Every <= 0 {
		errs = append(errs, fmt.Errorf("every: %v is not positive", c.Every))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is not positive", c.Timeout))
	}
	if c.Password != "" && c.Username == "" {
		errs = append(errs, errors.New("password: there is no username"))
	}
	return errors.Join(errs...)
}

// target is the URL with the credentials to use.
func (c Config) target() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		// url.Parse quotes what it cannot read, which may be the password.
		return nil, errors.New("url: cannot be read as a URL; special characters in a password " +
			"are written %XX, or the password goes under its own key")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("url: does not begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("url: names no host")
	}
	if c.Username != "" {
		u.User = url.UserPassword(c.Username, c.Password)
	}
	return u, nil
}

// tls is what connections are made with. It reads the file of authorities.
func (c Config) tls() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: c.TLS.Insecure}
	if c.TLS.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(c.TLS.CA)
	if err != nil {
		return nil, fmt.Errorf("tls.ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls.ca: %s: no certificate in it", c.TLS.CA)
	}
	return config, nil
}

// redacted is a URL fit for logs and errors.
func redacted(u *url.URL) string {
	clean := *u
	clean.RawQuery, clean.Fragment = "", "" // some cameras take passwords there
	clean.User = nil
	if u.User != nil {
		clean.User = url.User(u.User.Username())
	}
	return clean.String()
}
