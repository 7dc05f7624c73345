// Package http reads cameras that speak plain HTTP: Motion JPEG, and still
// pictures that are asked for over and over. Which of both it is, the camera's
// Content-Type tells.
package http

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"sightline/ingest"
)

// Config says which address to read, and how.
type Config struct {
	URL      string        `yaml:"url"`      // http:// or https://, may hold user and password
	Username string        `yaml:"username"` // takes the place of the URL's user and password
	Password string        `yaml:"password"`
	Every    time.Duration `yaml:"every"` // between two stills; Motion JPEG comes at the camera's own pace
	// Timeout is how long the camera may take to answer, and stay silent later.
	Timeout time.Duration `yaml:"timeout"`
	TLS     ingest.TLS    `yaml:"tls"` // on https
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
	return ingest.ParseURL(c.URL, c.Username, c.Password, "http", "https")
}
