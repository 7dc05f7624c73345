package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sightline/ingest"
	"sightline/ingest/httpauth"
)

var errSilent = errors.New("the camera sends nothing")

// patience is how many time-outs one picture may take in all: a camera that sends
// a byte now and then is as good as silent.
const patience = 3

// maxHeader bounds the headers of a response.
const maxHeader = 64 << 10

// session is one Run: a connection to the camera, or for stills as many as it wants.
type session struct {
	config Config
	stream string
	epoch  string
	target *url.URL
	client *http.Client
	clock  arrivals

	silence *time.Timer             // ends what waits for the camera
	due     time.Time               // when the picture under way must be complete
	cancel  context.CancelCauseFunc // of everything the session does
	ctx     context.Context
}

// open makes a session that ends with ctx. The caller closes it.
func (s *Source) open(ctx context.Context) (*session, error) {
	target, err := s.config.target()
	if err != nil {
		return nil, &ingest.Error{Reason: ingest.ReasonFailed, Permanent: true, Err: err}
	}
	encryption, err := s.config.TLS.Client(target.Hostname())
	if err != nil {
		return nil, &ingest.Error{Reason: ingest.ReasonFailed, Err: fmt.Errorf("%s: %w", ingest.Redacted(target), err)}
	}
	c := &session{config: s.config, stream: s.stream, target: target}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.silence = time.AfterFunc(time.Hour, func() { c.cancel(errSilent) })
	c.silence.Stop()
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: s.config.Timeout}).DialContext, TLSClientConfig: encryption,
		DisableCompression: true, MaxResponseHeaderBytes: maxHeader, MaxIdleConns: 1, IdleConnTimeout: time.Minute,
	}
	auth := &httpauth.Transport{Base: transport, Origin: target}
	var origin *url.URL
	if target.User != nil {
		auth.Username = target.User.Username()
		auth.Password, _ = target.User.Password()
		origin = target
	}
	c.client = &http.Client{Transport: auth, CheckRedirect: httpauth.CheckRedirect(origin)}
	return c, nil
}

func (c *session) close() {
	c.cancel(nil)
	c.silence.Stop()
	c.client.CloseIdleConnections()
}

// get asks for the address. The caller closes the response's body; reading it
// fails when the camera is silent for too long.
func (c *session) get(header http.Header) (*http.Response, error) {
	bare := *c.target
	bare.User = nil // the transport has it; here it would end up in errors
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, bare.String(), nil)
	if err != nil {
		return nil, c.failure("ask", err)
	}
	request.Header = header.Clone()
	request.Header.Set("User-Agent", "sightline")
	c.expect()
	c.silence.Reset(c.config.Timeout)
	response, err := c.client.Do(request)
	c.silence.Stop()
	if err != nil {
		return nil, c.failure("ask", err)
	}
	response.Body = &watched{c, response.Body}
	switch {
	case response.StatusCode == http.StatusOK, response.StatusCode == http.StatusNotModified && header.Get("If-None-Match")+header.Get("If-Modified-Since") != "":
		return response, nil
	}
	response.Body.Close()
	return nil, c.refused(response)
}

// expect begins the time that a picture may take.
func (c *session) expect() { c.due = time.Now().Add(patience * c.config.Timeout) }

// watched is a body whose every read is bounded in time.
type watched struct {
	c *session
	io.ReadCloser
}

func (w *watched) Read(b []byte) (int, error) {
	w.c.silence.Reset(max(min(w.c.config.Timeout, time.Until(w.c.due)), 0))
	n, err := w.ReadCloser.Read(b)
	w.c.silence.Stop()
	return n, err
}

// refused explains a status other than 200.
func (c *session) refused(response *http.Response) error {
	reason, hint := ingest.ReasonFailed, ""
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		reason, hint = ingest.ReasonUnauthorized, ": wrong username or password"
		if c.target.User == nil {
			hint = ": it asks for username and password"
		}
	case http.StatusNotFound, http.StatusGone:
		reason = ingest.ReasonNotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		reason = ingest.ReasonTimeout
	}
	text := http.StatusText(response.StatusCode)
	return c.fail(reason, "ask", fmt.Errorf("status %d %s%s", response.StatusCode, text, hint))
}

// failure wraps an error of the network with what was being done, where, and the
// reason that users see; ctx's own error stays as it is.
func (c *session) failure(doing string, err error) error {
	if cause := context.Cause(c.ctx); cause == errSilent {
		return c.fail(ingest.ReasonTimeout, doing, errSilent)
	} else if cause != nil {
		return c.ctx.Err()
	}
	var known *ingest.Error
	if errors.As(err, &known) {
		return err
	}
	var outer *url.Error // repeats the address, secrets included
	if errors.As(err, &outer) {
		err = outer.Err
	}
	reason := ingest.NetworkReason(err)
	if reason == ingest.ReasonUntrusted {
		err = fmt.Errorf("%w (tls: { ca: FILE } names whom to trust, { insecure: true } takes any certificate)", err)
	}
	return c.fail(reason, doing, err)
}

func (c *session) fail(reason ingest.Reason, doing string, err error) error {
	return &ingest.Error{Reason: reason, Err: fmt.Errorf("%s: %s: %w", ingest.Redacted(c.target), doing, err)}
}

// content is what an address turned out to be.
type content int

const (
	pictures content = iota + 1 // Motion JPEG
	still
)

// contentOf tells what a response holds; an error says what to do about it.
// Where the camera does not say, the first bytes do.
func (c *session) contentOf(mediaType string, first []byte) (content, error) {
	kind, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(mediaType)), ";")
	kind = strings.TrimSpace(kind)
	unsupported := func(format string, args ...any) (content, error) {
		return 0, c.fail(ingest.ReasonUnsupportedCodec, "look at the answer", fmt.Errorf(format, args...))
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		return pictures, nil
	case strings.HasPrefix(kind, "image/"):
		return still, nil
	case strings.Contains(kind, "mpegurl"), bytes.HasPrefix(first, []byte("#EXTM3U")):
		return unsupported("this is an HLS playlist: write hls+%[1]s://… instead of %[1]s://…", c.target.Scheme)
	case kind == "text/html", bytes.HasPrefix(bytes.ToLower(first), []byte("<!doctype html")):
		return unsupported("this is a web page, made for a browser: the camera's manual tells the address of its Motion JPEG or of a still picture")
	case strings.HasPrefix(kind, "video/"), strings.HasPrefix(kind, "audio/"):
		return unsupported("%s over plain HTTP is not read: use the camera's RTSP address, or its Motion JPEG", kind)
	case bytes.HasPrefix(first, []byte("--")):
		return pictures, nil
	}
	if _, err := ingest.InspectStill(first); !errors.Is(err, ingest.ErrNoStill) {
		return still, nil
	}
	if kind == "" {
		return unsupported("neither pictures nor a type that says what this is")
	}
	return unsupported("%q is neither Motion JPEG nor a picture", kind)
}
