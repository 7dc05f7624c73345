package webrtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sightline/ingest"
)

const (
	mostRedirects = 5
	// farewell is how long taking leave may take.
	farewell = time.Second
	// longestRetry is the longest wait that a server's Retry-After is followed for:
	// a stream is to be back soon after its server is.
	longestRetry = 2 * time.Second
	// mostHeader bounds what an answer says in front of its body.
	mostHeader = 64 << 10
)

// retryLater is a server that asks to be asked later.
type retryLater struct {
	after time.Duration
	err   error
}

func (e retryLater) Error() string { return e.err.Error() }
func (e retryLater) Unwrap() error { return e.err }

// whep is the HTTP side of one session with a server. It is used by one goroutine.
type whep struct {
	config   PullConfig
	endpoint *url.URL
	client   *http.Client
	session  *url.URL // what to delete at the end, nil without a session
}

// newWHEP opens nothing but the file of authorities.
func newWHEP(config PullConfig) (*whep, error) {
	endpoint, err := config.endpoint()
	if err != nil {
		return nil, err
	}
	w := &whep{config: config, endpoint: endpoint}
	trust, err := config.TLS.Client(endpoint.Hostname())
	if err != nil {
		return nil, w.failure("connect", ingest.ReasonFailed, err)
	}
	w.client = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: mostHeader},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

func (w *whep) close() { w.client.CloseIdleConnections() }

// failure is an error about the server, without what may be secret in its URL.
func (w *whep) failure(doing string, reason ingest.Reason, cause error) error {
	var u *url.Error
	if errors.As(cause, &u) {
		cause = u.Err
	}
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %s: %w", w.endpoint.Host, doing, cause)}
}

// local says whether the server is on this machine's loopback.
func (w *whep) local() bool {
	ip, err := netip.ParseAddr(w.endpoint.Hostname())
	return err == nil && ip.IsLoopback() || w.endpoint.Hostname() == "localhost"
}

// ask sends the offer and returns the answer. It follows redirects.
func (w *whep) ask(ctx context.Context, offer string) (string, error) {
	at := w.endpoint
	for range mostRedirects + 1 {
		response, err := w.request(ctx, http.MethodPost, at, offer)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, MaxSDP+1))
		response.Body.Close()
		if err != nil {
			return "", err
		}
		switch response.StatusCode {
		case http.StatusCreated, http.StatusOK:
			w.session = sessionOf(response, at)
			return string(text), nil
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			next := location(response, at)
			switch {
			case next == nil:
				return "", errors.New("the server redirects without saying where to")
			case at.Scheme == "https" && next.Scheme != "https":
				return "", errors.New("the server redirects from HTTPS to HTTP, which is not followed")
			}
			at = next
		default:
			return "", w.refused(response, at)
		}
	}
	return "", fmt.Errorf("the server redirects more than %d times", mostRedirects)
}

// refused says why there is no answer, by status.
func (w *whep) refused(response *http.Response, at *url.URL) error {
	code := response.StatusCode
	reason, text := ingest.ReasonFailed, fmt.Sprintf("the server answers %d %s", code, http.StatusText(code))
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		reason = ingest.ReasonUnauthorized
		if !w.shows(at) && (w.config.Token != "" || w.config.Username != "") {
			text += " at another host, to which credentials are not sent"
		}
	case http.StatusNotFound, http.StatusGone, http.StatusConflict:
		reason, text = ingest.ReasonNotFound, text+": there is no such stream, or nobody publishes it"
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		text += ": this is no WHEP endpoint"
	case http.StatusNotAcceptable:
		reason, text = ingest.ReasonUnsupportedCodec, text+": it has the stream in no codec that is known here"
		if strings.HasPrefix(response.Header.Get("Content-Type"), sdpType) {
			w.session = sessionOf(response, at)
			reason, text = ingest.ReasonFailed, "the server answers with an offer of its own, which is not supported"
		}
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		reason = ingest.ReasonTimeout
	}
	err := w.failure("ask for the stream", reason, errors.New(text))
	if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
		return retryLater{retryAfter(response.Header.Get("Retry-After")), err}
	}
	return err
}

// leave deletes the server's session, if there is one, within a bound: also when
// ctx has ended.
func (w *whep) leave(ctx context.Context) {
	if w.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	at := w.session
	w.session = nil
	response, err := w.request(ctx, http.MethodDelete, at, "")
	if err == nil { // else the server finds out by itself
		response.Body.Close()
	}
}

// request sends one request. The answer's body is to be closed.
func (w *whep) request(ctx context.Context, method string, at *url.URL, body string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	r, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(body))
	if err != nil {
		cancel()
		return nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", sdpType)
		r.Header.Set("Accept", sdpType)
	}
	switch {
	case !w.shows(at):
	case w.config.Token != "":
		r.Header.Set("Authorization", "Bearer "+w.config.Token)
	case w.config.Username != "":
		r.SetBasicAuth(w.config.Username, w.config.Password)
	}
	response, err := w.client.Do(r)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &ending{response.Body, cancel}
	return response, nil
}

// ending is a body whose request ends with it.
type ending struct {
	io.ReadCloser
	end context.CancelFunc
}

func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}

// shows says whether credentials are for the host at that URL.
func (w *whep) shows(at *url.URL) bool {
	return at.Scheme == w.endpoint.Scheme && at.Host == w.endpoint.Host
}

// location is where the answer's Location points to, nil without one over HTTP.
func location(response *http.Response, at *url.URL) *url.URL {
	text := response.Header.Get("Location")
	if text == "" {
		return nil
	}
	u, err := at.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	return u
}

// sessionOf is the session that an answer of at names, nil without one. One on
// another host is left to end by itself: a server could have us delete what only
// we can reach.
func sessionOf(response *http.Response, at *url.URL) *url.URL {
	u := location(response, at)
	if u == nil || u.Scheme != at.Scheme || u.Host != at.Host {
		return nil
	}
	return u
}

// retryAfter reads a Retry-After header in seconds or as a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
