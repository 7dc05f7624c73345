package ingest

import (
	"errors"
	"fmt"
	"net/url"
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
