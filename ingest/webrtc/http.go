package webrtc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
)

// ServeHTTP is the stream's WHIP endpoint (RFC 9725). It is to be routed as
// /whip/{stream} and, for sessions, as /whip/{stream}/{session}: the path value
// "session" tells them apart.
//
//   - POST with an SDP offer begins a session: 201 with the answer, all our
//     candidates in it. A stream has one publisher; a new one takes over, if it
//     shows the stream's token or, where there is none, once the old one has been
//     quiet for two seconds: 409 until then. 503 says that the stream does not
//     run at the moment.
//   - PATCH on the session brings the publisher's later candidates (trickle ICE,
//     RFC 8840): 204. It wants the session's entity tag in If-Match (428 without,
//     412 with another). ICE restarts are refused (422): publish again.
//   - DELETE on the session ends it.
//   - OPTIONS says what is possible. Pages from elsewhere may publish to a stream
//     that has a token, which no browser sends by itself.
//
// It may be called from any number of goroutines.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session := r.PathValue("session")
	allowed := "POST, OPTIONS"
	if session != "" {
		allowed = "PATCH, DELETE, OPTIONS"
	}
	s.admitPages(w.Header(), allowed)
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allowed)
		w.Header().Set("Accept-Post", sdpType)
		w.Header().Set("Accept-Patch", fragmentType)
	case !s.authorized(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="whip"`)
		http.Error(w, "a bearer token is needed, or this one is wrong", http.StatusUnauthorized)
	case r.Method == http.MethodPost && session == "":
		s.begins(w, r)
	case r.Method == http.MethodPatch && session != "":
		s.trickles(w, r, s.find(session))
	case r.Method == http.MethodDelete && session != "":
		if c := s.find(session); c != nil {
			c.leave(errLeft)
		} else {
			http.Error(w, "no such session", http.StatusNotFound)
		}
	default:
		w.Header().Set("Allow", allowed)
		http.Error(w, "supported here: "+allowed, http.StatusMethodNotAllowed)
	}
}

// admitPages lets pages from elsewhere publish where a token is asked for.
func (s *Source) admitPages(h http.Header, methods string) {
	if s.config.Token == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After")
}

// authorized compares in constant time.
func (s *Source) authorized(r *http.Request) bool {
	if s.config.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(s.config.Token)), sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// begins hands the offer to Run and its answer back.
func (s *Source) begins(w http.ResponseWriter, r *http.Request) {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		refuse(w, errCrowded)
		return
	}
	text, ok := body(w, r, sdpType, MaxSDP)
	if !ok {
		return
	}
	o, err := parseOffer(text)
	if err != nil {
		refuse(w, err)
		return
	}
	id, answer, err := s.publish(r.Context(), o)
	if err != nil {
		refuse(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Location", strings.TrimSuffix(r.URL.Path, "/")+"/"+id)
	h.Set("ETag", etag(id))
	h.Set("Accept-Patch", fragmentType)
	for _, server := range s.config.Ports.servers {
		h.Add("Link", server.link())
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer)
}

// trickles adds candidates to a session, nil being one that is not there.
func (s *Source) trickles(w http.ResponseWriter, r *http.Request, c *session) {
	if c == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	text, ok := body(w, r, fragmentType, maxFragment)
	if !ok {
		return
	}
	f, err := parseFragment(text)
	tags := strings.Join(r.Header.Values("If-Match"), ",")
	switch {
	case tags == "":
		http.Error(w, "If-Match is missing: the session's entity tag came with its answer", http.StatusPreconditionRequired)
	case !matches(tags, etag(c.id)):
		http.Error(w, "another entity tag than the session's", http.StatusPreconditionFailed)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case f.restarts(c.ufrags):
		http.Error(w, "ICE restarts are not supported: publish again, and the new session takes over", http.StatusUnprocessableEntity)
	default:
		c.trickle(f)
		w.WriteHeader(http.StatusNoContent)
	}
}

// body reads a request's body of a type, or answers why it cannot.
func body(w http.ResponseWriter, r *http.Request, want string, most int64) (string, bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != want {
		w.Header().Set("Accept-Post", sdpType)
		w.Header().Set("Accept-Patch", fragmentType)
		http.Error(w, "the body must be of type "+want, http.StatusUnsupportedMediaType)
		return "", false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		return string(data), true
	}
	status := http.StatusBadRequest
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, "the body cannot be read", status)
	return "", false
}

// etag is the entity tag of a session: that of its only ICE session.
func etag(id string) string { return `"` + id + `"` }

// matches says whether the list of entity tags in an If-Match header has tag, by
// strong comparison (RFC 9110, 13.1.1).
func matches(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == "*" || t == tag {
			return true
		}
	}
	return false
}

// refuse answers a failed offer.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var codec codecError
	switch {
	case errors.As(err, &codec):
		status = http.StatusNotAcceptable
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "2")
		status = http.StatusConflict
	case errors.Is(err, errNotRunning), errors.Is(err, errCrowded):
		w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, errOwn):
		status = http.StatusInternalServerError
	}
	http.Error(w, err.Error(), status)
}

// newID names a session so that nobody can guess it.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
