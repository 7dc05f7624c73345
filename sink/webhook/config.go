// Package webhook delivers events by HTTP POST: CloudEvents in the structured or the
// batched mode of their HTTP binding, signed as the Standard Webhooks specification
// describes it. An event is delivered once the receiver has answered 2xx.
package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"sightline/sink"
	"sightline/sink/format"
)

// Headers of a request.
const (
	// IDHeader and IdempotencyKey tell a repeat: the id of the event, or a digest of
	// the ids of a batch.
	IDHeader       = "webhook-id"
	IdempotencyKey = "Idempotency-Key"
	// TimestampHeader is when the request was made, in seconds since 1970.
	TimestampHeader = "webhook-timestamp"
	// SignatureHeader has "v1," and the base64 of the HMAC-SHA256, keyed with the
	// secret, of id "." timestamp "." body; several, separated by blanks, while
	// there is more than one secret.
	SignatureHeader = "webhook-signature"
)

// BatchType is the content type of several CloudEvents as one JSON array.
const BatchType = "application/cloudevents-batch+json"

// Config says where events go and how. Functions are asked at each request.
type Config struct {
	URL      string
	Secret   func() string            // to sign with, several separated by blanks; nil: no signature
	Headers  map[string]func() string // besides
	Username string                   // of Basic authentication; empty: none
	Password func() string
	Format   format.Format // of the body; nil: CloudEvents
	Batch    int           // most events in a request; 1 sends each as an object by itself
	Parallel int           // most requests at once; those of one key follow each other
	Timeout  time.Duration // of a request, its answer included
	TLS      *sink.TLS     // of https; nil: the system's authorities
}

// Defaults returns a configuration that lacks only the URL.
func Defaults() Config { return Config{Batch: 1, Parallel: 4, Timeout: 10 * time.Second} }

// Validate reports every mistake at once, each beginning with the key it is about.
// It opens nothing.
func (c Config) Validate() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		errs = append(errs, errors.New("url: want https://HOST/PATH or http://HOST/PATH"))
	case u.User != nil:
		errs = append(errs, errors.New("url: put the login into username and password"))
	default:
		fault(c.TLS != nil && u.Scheme != "https", "tls: the url is not https://")
		fault(u.Fragment != "", "url: what follows # reaches no server")
	}
	for name := range c.Headers {
		if why := checkHeader(name, c.Username != ""); why != "" {
			errs = append(errs, fmt.Errorf("headers: %q %s", name, why))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if c.Secret != nil {
		if _, err := keys(c.Secret()); err != nil {
			errs = append(errs, fmt.Errorf("secret: %w", err))
		}
	}
	fault(c.Username == "" && c.Password != nil, "password: wants a username")
	fault(c.Batch < 1 || c.Batch > 1000, "batch: %d is not in 1 to 1000", c.Batch)
	fault(c.Batch > 1 && c.Format != nil, "batch: several events in one request are CloudEvents' own: leave out format")
	fault(c.Parallel < 1 || c.Parallel > 64, "parallel: %d is not in 1 to 64", c.Parallel)
	fault(c.Timeout <= 0, "timeout: %v is not positive", c.Timeout)
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// checkHeader says why a header cannot be set, "" if it can.
func checkHeader(name string, login bool) string {
	own := []string{
		"Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Host", "Expect", "Trailer", "Te", "Upgrade",
		http.CanonicalHeaderKey(IDHeader), IdempotencyKey, http.CanonicalHeaderKey(TimestampHeader), http.CanonicalHeaderKey(SignatureHeader),
	}
	switch canonical := http.CanonicalHeaderKey(name); {
	case !headerName.MatchString(name):
		return "is no header's name"
	case slices.Contains(own, canonical):
		return "is set by the sink itself"
	case canonical == "Authorization" && login:
		return "is made of username and password"
	}
	return ""
}
