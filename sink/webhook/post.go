package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sightline/sink"
)

const (
	structuredType = sink.StructuredType + "; charset=utf-8"
	batchType      = BatchType + "; charset=utf-8"

	maxDrain  = time.Second
	maxAnswer = 64 << 10 // read of an answer, so that its connection can be used again
	maxTold   = 200      // of an answer's bytes in an error
	maxPause  = time.Hour
)

// verdict is what a request has shown.
type verdict int

const (
	answered verdict = iota // the receiver has the events
	denied                  // it will never take them
	later                   // it may take them later
	wait                    // it may take them, and all others, after a pause
	silent                  // it did not answer
)

// post makes one request. The answer's status decides; its body is only told of.
func (s *Sink) post(ctx context.Context, m message) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, secrets, err := s.request(ctx, m)
	if err != nil {
		return silent, &sink.Passing{Err: err}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return silent, masked(s.unanswered(ctx, err), secrets)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body is a connection, which no context ends
		return later, errors.New("the receiver speaks something else than HTTP")
	}
	late := time.AfterFunc(maxDrain, cancel)
	defer late.Stop()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status has told already
	if resp.StatusCode/100 == 2 {
		return answered, nil
	}
	v, why := judge(resp)
	// Not resp.Status: the receiver may have put anything behind the number.
	err = fmt.Errorf("%d %s: %s%s", resp.StatusCode, http.StatusText(resp.StatusCode), hide(why, secrets), told(text, secrets))
	switch pause := retryAfter(resp, time.Now()); {
	case v == wait && pause > 0:
		err = &sink.RetryAfter{After: pause, Err: err}
	case v == wait, v == later && resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout:
		err = &sink.Passing{Err: err}
	}
	return v, err
}

// judge sorts an answer that is not 2xx.
func judge(resp *http.Response) (verdict, string) {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return wait, "the receiver asks to be left alone"
	case code == http.StatusUnauthorized, code == http.StatusProxyAuthRequired:
		return later, "the receiver does not know us: look at username, password, headers and secret"
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code/100 == 5:
		return later, "the receiver has failed"
	case code/100 == 3:
		where := "elsewhere"
		if u, err := resp.Location(); err == nil && len(u.Host) <= maxTold {
			where = u.Scheme + "://" + u.Host
		}
		return later, "the receiver sends us to " + where + ", which is not followed: change the url"
	case code/100 == 4:
		return denied, "the receiver refuses the event"
	}
	return later, "not an answer to a request"
}

// request makes the request of m, and tells which texts in it are nobody's business.
func (s *Sink) request(ctx context.Context, m message) (req *http.Request, secrets []string, err error) {
	req, err = http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(m.body))
	if err != nil {
		return nil, nil, errors.New("the url is not parsable")
	}
	h := req.Header
	for name, value := range s.cfg.Headers {
		v := value()
		if strings.ContainsAny(v, "\r\n\x00") {
			return nil, nil, fmt.Errorf("headers: the value of %q has a line break in it", name)
		}
		h.Set(name, v)
		secrets = append(append(secrets, v), strings.Fields(v)...)
	}
	if s.cfg.Username != "" {
		var password string
		if s.cfg.Password != nil {
			password = s.cfg.Password()
		}
		req.SetBasicAuth(s.cfg.Username, password)
		secrets = append(secrets, password, strings.TrimPrefix(h.Get("Authorization"), "Basic "))
	}
	h.Set("User-Agent", "Sightline")
	h.Set("Content-Type", m.contentType)
	h.Set(IDHeader, m.id)
	h.Set(IdempotencyKey, m.id)
	now := time.Now()
	h.Set(TimestampHeader, strconv.FormatInt(now.Unix(), 10))
	if s.cfg.Secret != nil {
		text := s.cfg.Secret()
		keys, err := keys(text)
		if err != nil {
			return nil, nil, fmt.Errorf("secret: %w", err)
		}
		h.Set(SignatureHeader, signature(keys, m.id, now, m.body))
		secrets = append(secrets, strings.Fields(text)...)
		secrets = append(secrets, h.Get(SignatureHeader))
	}
	if req.URL.RawQuery != "" {
		secrets = append(secrets, req.URL.RawQuery)
		for _, values := range req.URL.Query() {
			secrets = append(secrets, slices.DeleteFunc(values, func(v string) bool { return len(v) < 4 })...) // no token, but a channel
		}
	}
	return req, secrets, nil
}

// unanswered says why there is no answer, without the address, which may have a
// secret in it.
func (s *Sink) unanswered(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", s.cfg.Timeout)
	}
	return err
}

// masked is err without the secrets of the request, which a peer may have repeated.
func masked(err error, secrets []string) error {
	text := hide(err.Error(), secrets)
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// hide masks secrets, also as %q writes them.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		quoted := strings.Trim(strconv.Quote(secret), `"`)
		text = strings.ReplaceAll(strings.ReplaceAll(text, secret, "***"), quoted, "***")
	}
	return text
}

// told is the beginning of an answer, without the secrets of the request.
func told(text []byte, secrets []string) string {
	out := strings.TrimSpace(hide(strings.ToValidUTF8(string(text), "\ufffd"), secrets))
	if out == "" {
		return ""
	}
	return fmt.Sprintf(" (%.*q)", maxTold, out)
}

// retryAfter is the pause that an answer asks for, 0 if none: seconds, or a date.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	text := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxPause)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxPause)
}
