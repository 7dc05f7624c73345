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

// maxOffer bounds the body of an offer; browsers' have some 10 kB.
const maxOffer = 128 << 10

// ServeHTTP is the stream's WHIP endpoint (RFC 9725). It is to be routed as
// /whip/{stream} and, for sessions, as /whip/{stream}/{session}: the path value
// "session" tells them apart.
//
//   - POST with an SDP offer begins a session: 201 with the answer, all
//     candidates in it. One publisher at a time: another gets 409 until the
//     first has left. 503 says that the stream does not run at the moment.
//   - DELETE on the session ends it. PATCH is not supported (405): offers carry
//     their candidates, or the publisher's checks reveal them.
//
// It may be called from any number of goroutines.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session := r.PathValue("session")
	allowed := "POST, OPTIONS"
	if session != "" {
		allowed = "DELETE, OPTIONS"
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", allowed)
		w.Header().Set("Accept-Post", "application/sdp")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="whip"`)
		http.Error(w, "a bearer token is needed, or this one is wrong", http.StatusUnauthorized)
		return
	}
	switch {
	case r.Method == http.MethodPost && session == "":
		s.publish(w, r)
	case r.Method == http.MethodDelete && session != "":
		if !s.end(session) {
			http.Error(w, "no such session", http.StatusNotFound)
		}
	default:
		w.Header().Set("Allow", allowed)
		http.Error(w, "supported here: "+allowed, http.StatusMethodNotAllowed)
	}
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

// publish hands the offer to Run and its answer back.
func (s *Source) publish(w http.ResponseWriter, r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/sdp" {
		w.Header().Set("Accept-Post", "application/sdp")
		http.Error(w, "the offer must be of type application/sdp", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the offer cannot be read", status)
		return
	}
	id, answer, err := s.offer(r.Context(), string(body))
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", strings.TrimSuffix(r.URL.Path, "/")+"/"+id)
	w.Header().Set("ETag", `"`+id+`"`)
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer)
}

// refuse answers a failed offer.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var codec codecError
	switch {
	case errors.As(err, &codec):
		status = http.StatusNotAcceptable
	case errors.Is(err, errBusy):
		status = http.StatusConflict
	case errors.Is(err, errNotRunning):
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
