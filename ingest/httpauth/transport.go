// Package httpauth gives an HTTP client the two ways cameras ask for a name and
// a password: Basic (RFC 7617) and Digest (RFC 7616, and RFC 2069 before it).
package httpauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Transport answers a server's challenge, and later requests before they are
// challenged. It is safe for concurrent use.
type Transport struct {
	Base               http.RoundTripper
	Username, Password string // none asked for or given where Username is empty
	// Origin is the server the password is for: requests to any other scheme,
	// host or port go without it.
	Origin *url.URL

	mu   sync.Mutex
	last *challenge // of the server, answered before
}

// maxChallenge is how much of a refusal's body is read to keep its connection.
const maxChallenge = 64 << 10

// RoundTrip implements http.RoundTripper. A response with status 401 means that
// the password was refused, or that none was there to give.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if t.Username == "" || !SameOrigin(request.URL, t.Origin) {
		return t.Base.RoundTrip(request)
	}
	t.mu.Lock()
	known := t.last
	t.mu.Unlock()
	response, err := t.send(request, known)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	asked := choose(response.Header.Values("WWW-Authenticate"))
	if asked == nil || known != nil && asked.params["nonce"] == known.params["nonce"] && asked.scheme == known.scheme {
		return response, nil
	}
	if request.Body != nil && request.GetBody == nil {
		return response, nil
	}
	io.Copy(io.Discard, io.LimitReader(response.Body, maxChallenge))
	response.Body.Close()
	t.mu.Lock()
	t.last = asked
	t.mu.Unlock()
	return t.send(request, asked)
}

// CloseIdleConnections is what http.Client's method of that name calls.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// send sends a copy of the request with the answer to c, if there is one.
func (t *Transport) send(request *http.Request, c *challenge) (*http.Response, error) {
	if c == nil {
		return t.Base.RoundTrip(request)
	}
	answer, err := c.answer(request.Method, request.URL.RequestURI(), t.Username, t.Password)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	copied := request.Clone(request.Context())
	if request.GetBody != nil {
		if copied.Body, err = request.GetBody(); err != nil {
			return nil, fmt.Errorf("log in: %w", err)
		}
	}
	copied.Header.Set("Authorization", answer)
	return t.Base.RoundTrip(copied)
}

// SameOrigin tells whether two URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	case u.Scheme == "rtsp":
		return "554"
	case u.Scheme == "rtsps":
		return "322"
	}
	return "80"
}

// maxRedirects is how often a server may send us elsewhere.
const maxRedirects = 3

// CheckRedirect is http.Client's, for a client whose password is for one origin
// (nil when it has none): such a client follows redirects inside it, and from
// plain to encrypted on the same host never, since the password is not for that
// port. Errors name hosts only: paths may hold secrets.
func CheckRedirect(origin *url.URL) func(*http.Request, []*http.Request) error {
	return func(request *http.Request, via []*http.Request) error {
		request.Header.Del("Referer") // the address we come from may hold a secret
		switch {
		case len(via) > maxRedirects:
			return errors.New("sent elsewhere too often")
		case origin != nil && !SameOrigin(request.URL, origin):
			return fmt.Errorf("sent on to %s://%s, which is not given the password; write that address if it is right",
				request.URL.Scheme, request.URL.Host)
		}
		return nil
	}
}
